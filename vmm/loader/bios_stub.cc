// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/bios_stub.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vmm/loader/image_bytes.h"

namespace gnomon::vmm {
namespace {

// Assembled for 16-bit code; instructions in AT&T notation. Addresses count from the code segment's
// base, and the data follow: see the offsets below.
// clang-format off
constexpr uint8_t kCode[] = {
    // 00: anything else
    0xcf,                                          // iret
    // 01: IRQ 0: counts ticks at 0040:006c
    0x50,                                          // push %ax
    0x1e,                                          // push %ds
    0xb8, 0x40, 0x00,                              // mov $0x40,%ax
    0x8e, 0xd8,                                    // mov %ax,%ds
    0x66, 0xff, 0x06, 0x6c, 0x00,                  // incl 0x6c
    0x1f,                                          // pop %ds
    0xb0, 0x20,                                    // mov $0x20,%al
    0xe6, 0x20,                                    // out %al,$0x20
    0x58,                                          // pop %ax
    0xcf,                                          // iret
    // 14: IRQ 1 to 7
    0x50,                                          // push %ax
    0xb0, 0x20,                                    // mov $0x20,%al
    0xe6, 0x20,                                    // out %al,$0x20
    0x58,                                          // pop %ax
    0xcf,                                          // iret
    // 1b: IRQ 8 to 15
    0x50,                                          // push %ax
    0xb0, 0x20,                                    // mov $0x20,%al
    0xe6, 0xa0,                                    // out %al,$0xa0
    0xe6, 0x20,                                    // out %al,$0x20
    0x58,                                          // pop %ax
    0xcf,                                          // iret
    // 24: INT 12h
    0x2e, 0xa1, 0xa8, 0x00,                        // mov %cs:0xa8,%ax
    0xcf,                                          // iret
    // 29: INT 15h
    0x3d, 0x20, 0xe8,                              // cmp $0xe820,%ax
    0x74, 0x35,                                    // je 63
    0x3d, 0x01, 0xe8,                              // cmp $0xe801,%ax
    0x74, 0x1a,                                    // je 4d
    0x80, 0xfc, 0x88,                              // cmp $0x88,%ah
    0x74, 0x0f,                                    // je 47
    // 38: INT 15h, a function that is not there
    0xb4, 0x86,                                    // mov $0x86,%ah
    // 3a: with AH: carry set
    0x55,                                          // push %bp
    0x89, 0xe5,                                    // mov %sp,%bp
    0x80, 0x4e, 0x06, 0x01,                        // orb $0x1,0x6(%bp)
    0x5d,                                          // pop %bp
    0xcf,                                          // iret
    // 43: INT 13h: no disk functions
    0xb4, 0x01,                                    // mov $0x1,%ah
    0xeb, 0xf3,                                    // jmp 3a
    // 47: INT 15h, AH=88h
    0x2e, 0xa1, 0xaa, 0x00,                        // mov %cs:0xaa,%ax
    0xeb, 0x0d,                                    // jmp 5a
    // 4d: INT 15h, AX=E801h
    0x2e, 0xa1, 0xac, 0x00,                        // mov %cs:0xac,%ax
    0x2e, 0x8b, 0x1e, 0xae, 0x00,                  // mov %cs:0xae,%bx
    0x89, 0xc1,                                    // mov %ax,%cx
    0x89, 0xda,                                    // mov %bx,%dx
    // 5a: carry clear
    0x55,                                          // push %bp
    0x89, 0xe5,                                    // mov %sp,%bp
    0x80, 0x66, 0x06, 0xfe,                        // andb $0xfe,0x6(%bp)
    0x5d,                                          // pop %bp
    0xcf,                                          // iret
    // 63: INT 15h, AX=E820h
    0x66, 0x81, 0xfa, 0x50, 0x41, 0x4d, 0x53,      // cmp $0x534d4150,%edx
    0x75, 0xcc,                                    // jne 38
    0x66, 0x83, 0xf9, 0x14,                        // cmp $0x14,%ecx
    0x72, 0xc6,                                    // jb 38
    0x2e, 0x66, 0x3b, 0x1e, 0xb0, 0x00,            // cmp %cs:0xb0,%ebx
    0x73, 0xbe,                                    // jae 38
    0x56,                                          // push %si
    0x57,                                          // push %di
    0x1e,                                          // push %ds
    0x0e,                                          // push %cs
    0x1f,                                          // pop %ds
    0x6b, 0xf3, 0x14,                              // imul $0x14,%bx,%si
    0x81, 0xc6, 0xb4, 0x00,                        // add $0xb4,%si
    0xfc,                                          // cld
    0xb9, 0x0a, 0x00,                              // mov $0xa,%cx
    0xf3, 0xa5,                                    // rep movsw %ds:(%si),%es:(%di)
    0x1f,                                          // pop %ds
    0x5f,                                          // pop %di
    0x5e,                                          // pop %si
    0x66, 0x43,                                    // inc %ebx
    0x2e, 0x66, 0x3b, 0x1e, 0xb0, 0x00,            // cmp %cs:0xb0,%ebx
    0x72, 0x03,                                    // jb 9c
    0x66, 0x31, 0xdb,                              // xor %ebx,%ebx
    0x66, 0xb9, 0x14, 0x00, 0x00, 0x00,            // mov $0x14,%ecx
    0x66, 0x89, 0xd0,                              // mov %edx,%eax
    0xeb, 0xb3,                                    // jmp 5a
    0x90,                                          // nop
};
// clang-format on

constexpr size_t kConventionalKib = 0xa8, kExtendedKib = 0xaa, kBelow16MKib = 0xac,
                 kAbove16M64Kib = 0xae, kE820Count = 0xb0, kE820Table = 0xb4;
static_assert(sizeof(kCode) == kConventionalKib);

struct Vectors {
  unsigned first;
  unsigned last;
  uint16_t offset;
};
constexpr Vectors kVectors[] = {
    {0x00, 0xff, 0x00}, {0x08, 0x08, 0x01}, {0x09, 0x0f, 0x14}, {0x12, 0x12, 0x24},
    {0x13, 0x13, 0x43}, {0x15, 0x15, 0x29}, {0x70, 0x77, 0x1b},
};

// Each a segment's first byte. The second and third are for machines without RAM where a BIOS lies,
// and for boards that keep tables there.
constexpr uint64_t kPlaces[] = {0xf'e000, 0xf'8000, 0x600};

constexpr size_t kE820EntryBytes = 20;
// So that all of it ends below the boot sector's stack even in the lowest place.
constexpr size_t kMostE820Entries = 128;

std::vector<uint8_t> make_stub(const Placement& placement) {
  std::vector<uint8_t> stub(std::begin(kCode), std::end(kCode));
  const std::vector<MemoryRange>& map = placement.memory_map();
  const size_t entries = std::min(map.size(), kMostE820Entries);
  stub.resize(kE820Table + entries * kE820EntryBytes);

  constexpr uint64_t kMostLower = 640;
  constexpr uint64_t kSixteenMiB = 16 * kOneMiB;
  const uint64_t above_1m = placement.usable_from(kOneMiB);
  const uint64_t below_16m = std::min(above_1m, kSixteenMiB - kOneMiB);
  const auto set16 = [&](size_t at, uint64_t value) {
    set_number<uint16_t>(stub, at, static_cast<uint16_t>(std::min<uint64_t>(value, 0xffff)));
  };
  set16(kConventionalKib, std::min(placement.usable_from(0) >> 10, kMostLower));
  set16(kExtendedKib, std::min<uint64_t>(above_1m >> 10, 0xfc00));
  set16(kBelow16MKib, below_16m >> 10);
  set16(kAbove16M64Kib, (above_1m - below_16m) >> 16);
  set_number<uint32_t>(stub, kE820Count, static_cast<uint32_t>(entries));
  for (size_t i = 0; i < entries; ++i) {
    const size_t at = kE820Table + i * kE820EntryBytes;
    set_number<uint64_t>(stub, at, map[i].base);
    set_number<uint64_t>(stub, at + 8, map[i].bytes);
    set_number<uint32_t>(stub, at + 16, static_cast<uint32_t>(map[i].kind));
  }
  return stub;
}

/// RAM in which nobody has put anything yet.
bool is_blank(const GuestMemory& memory, uint64_t base, size_t bytes) {
  std::vector<uint8_t> now(bytes);
  return memory.read(Gpa(base), absl::MakeSpan(now)) &&
         std::all_of(now.begin(), now.end(), [](uint8_t b) { return b == 0; });
}

}  // namespace

absl::StatusOr<uint64_t> place_bios_stub(Placement& placement) {
  const std::vector<uint8_t> stub = make_stub(placement);
  const auto* const place = std::find_if(std::begin(kPlaces), std::end(kPlaces), [&](uint64_t p) {
    return is_blank(placement.memory(), p, stub.size());
  });
  if (place == std::end(kPlaces)) {
    return absl::InvalidArgumentError(
        absl::StrCat(placement.file(),
                     ": no RAM below 1 MiB is free for BIOS services; use a board "
                     "with conventional memory"));
  }
  if (const absl::Status s = placement.store(*place, stub); !s.ok()) return s;

  std::vector<uint8_t> table(1024);
  for (const Vectors& v : kVectors) {
    for (unsigned i = v.first; i <= v.last; ++i) {
      set_number<uint16_t>(table, size_t{4} * i, v.offset);
      set_number<uint16_t>(table, size_t{4} * i + 2, static_cast<uint16_t>(*place >> 4));
    }
  }
  if (const absl::Status s = placement.store(0, table); !s.ok()) return s;
  return *place;
}

}  // namespace gnomon::vmm

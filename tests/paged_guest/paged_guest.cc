// SPDX-License-Identifier: Apache-2.0
#include "tests/paged_guest/paged_guest.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace gnomon::vmm {
namespace {

using Words = std::vector<std::pair<uint64_t, uint64_t>>;  // address, value

// mov $0x10000, %eax; mov %eax, %cr3; mov %cr0, %eax; or $0x80010000, %eax; mov %eax, %cr0; mov $0xc0000000, %ebx;
// mov (%ebx), %ecx; inc %ecx; mov %ecx, (%ebx); xor %eax, %eax; mov $0xf4, %edx; out %al, (%dx); hlt
constexpr uint8_t kCode32[] = {0xb8, 0x00, 0x00, 0x01, 0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xc0, 0x0d, 0x00,
                               0x00, 0x01, 0x80, 0x0f, 0x22, 0xc0, 0xbb, 0x00, 0x00, 0x00, 0xc0, 0x8b, 0x0b,
                               0x41, 0x89, 0x0b, 0x31, 0xc0, 0xba, 0xf4, 0x00, 0x00, 0x00, 0xee, 0xf4};
const Words kTables32 = {{0x10000, 0x11003}, {0x10c00, 0x12007}, {0x11400, 0x100003},
                         {0x11404, 0x101003}, {0x12000, 0x200007}, {0x12004, 0x201005}};

// mov $0x20, %eax; mov %eax, %cr4; mov $0x10000, %eax; mov %eax, %cr3; mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr;
// mov %cr0, %eax; or $0x80010000, %eax; mov %eax, %cr0; jmp .
constexpr uint8_t kCodeLong[] = {0xb8, 0x20, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, 0xb8, 0x00, 0x00, 0x01, 0x00, 0x0f,
                                 0x22, 0xd8, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x09, 0x00, 0x00,
                                 0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x01, 0x80, 0x0f, 0x22, 0xc0, 0xeb,
                                 0xfe};
const Words kTablesLong = {{0x10000, 0x11007}, {0x10ff8, 0x11007}, {0x11000, 0x12007},
                           {0x12000, 0x83},    {0x12008, 0x8000'0000'0020'0181}};

std::unique_ptr<Machine> make(absl::Span<const uint8_t> code, const Words& tables, unsigned entry_bytes,
                              absl::string_view backend, unsigned cpus) {
  const test_support::TemporaryFile image(
      absl::string_view(reinterpret_cast<const char*>(code.data()), code.size()));
  MachineOptions options;
  options.load.image = image.path();
  options.load.format = "raw";
  options.board.board = cpus == 1 ? "minimal" : "pc";
  options.board.memory_bytes = 16u << 20;
  options.board.cpus = cpus;
  options.backend = std::string(backend);
  auto machine = Machine::create(options);
  if (!machine.ok()) return nullptr;
  for (const auto& [address, value] : tables) {
    if (!(*machine)->write_memory(Gpa(address), absl::MakeSpan(reinterpret_cast<const uint8_t*>(&value), entry_bytes))) {
      return nullptr;
    }
  }
  return *std::move(machine);
}

}  // namespace

std::unique_ptr<Machine> paged_guest_32(absl::string_view backend, unsigned cpus) {
  return make(kCode32, kTables32, 4, backend, cpus);
}
std::unique_ptr<Machine> paged_guest_long(absl::string_view backend) {
  return make(kCodeLong, kTablesLong, 8, backend, 1);
}

}  // namespace gnomon::vmm

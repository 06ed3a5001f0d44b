// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile_guest/guest.h"

#include <cstring>

#include "tests/hostile_guest/code.h"

namespace gnomon::vmm::hostile {
namespace {

// Where things are in guest-physical memory; 2 MiB in all.
constexpr uint64_t kMemoryEnd = 2 << 20;
constexpr uint64_t kGdt = 0x1000, kIdt = 0x2000, kTss = 0x3000, kStack = 0x5000, kCode = 0x8000;
constexpr uint64_t kCodeBytes = 0x1000, kTables = 0x10'0000;
constexpr uint64_t kPlaces[] = {kGdt,
                                kIdt,
                                kTss,
                                kStack,
                                kCode,
                                kTables,
                                kTables + 0x1000,
                                kTables + 0x2000,
                                kTables + 0x3000,
                                0x7ff0,
                                kMemoryEnd - 8,
                                kMemoryEnd,
                                0xfee0'0000,
                                0xfec0'0000,
                                0xb8000,
                                0xffff'fff8,
                                0};

class Maker {
 public:
  explicit Maker(Choices& choices) : c_(choices) {}

  Guest make() {
    g_.mode = static_cast<Mode>(c_.below(4));
    wild_ = c_.percent(50);
    g_.tables_out_of_reach = !wild_ && c_.percent(60);
    registers();
    segments();
    descriptors();
    if (g_.mode != Mode::kReal) tables();
    controls();
    put(kCode, random_code(c_, kCodeBytes, kPlaces, is64()));
    // Handlers, and whatever else is run by accident.
    put(kCode + kCodeBytes, random_code(c_, 0x400, kPlaces, is64()));
    return std::move(g_);
  }

 private:
  bool is64() const { return g_.mode == Mode::k64; }
  bool wide() const { return g_.mode == Mode::k64 || g_.mode == Mode::kPae; }

  void put(uint64_t at, std::vector<uint8_t> bytes) {
    g_.memory.emplace_back(at, std::move(bytes));
  }

  uint64_t anything() {
    switch (c_.below(4)) {
      case 0: return c_.pick(places_) + c_.below(128);
      case 1: return c_.below(1 << 16);
      case 2: return c_.number() >> c_.below(64);
      default: return uint64_t{c_.below(512)} << 12;
    }
  }

  void registers() {
    CpuState& s = g_.cpu;
    for (uint64_t& r : s.gpr) r = anything();
    s.gpr[kRsp] = c_.percent(80) ? kStack + 0xf00 : anything();
    s.rip = g_.mode == Mode::kReal ? 0 : kCode;
    s.rflags =
        flag::kOne | (c_.number() & (flag::kArithmetic | flag::kDF | flag::kIOPL | flag::kAC));
    if (c_.percent(10)) s.rflags |= flag::kTF;
    if (c_.percent(20)) s.rflags |= flag::kIF;
  }

  void segments() {
    CpuState& s = g_.cpu;
    constexpr uint16_t kData = seg::kP | seg::kS | seg::kWritable | seg::kAccessed;
    const bool real = g_.mode == Mode::kReal;
    const auto big = static_cast<uint16_t>(seg::kG | seg::kDB);
    for (Segment& d : s.segments) {
      d = real ? Segment{0, kData, 0xffff, 0}
               : Segment{0x10, static_cast<uint16_t>(kData | big), 0xffff'ffff, 0};
      if (c_.percent(10)) {
        d.limit = static_cast<uint32_t>(anything());
        if (!is64()) d.base = anything() & 0xffff'ffff;
      }
    }
    s.segments[kCs] = real ? Segment{static_cast<uint16_t>(kCode >> 4), kData, 0xffff, kCode}
                           : Segment{8,
                                     static_cast<uint16_t>(kData | seg::kCode | seg::kG |
                                                           (is64() ? seg::kL : seg::kDB)),
                                     0xffff'ffff, 0};
    s.ldtr = {0, seg::kP | 2, static_cast<uint32_t>(c_.below(0x1000)),
              c_.percent(80) ? kGdt : anything()};
    const auto tss_limit = static_cast<uint32_t>(c_.percent(70) ? 0x67 : c_.below(1 << 16));
    s.tr = {0x18, seg::kP | 11, tss_limit, c_.percent(80) ? kTss : anything() & 0xffff'ffff};
    s.gdtr = {c_.percent(85) ? kGdt : anything(),
              static_cast<uint16_t>(c_.percent(85) ? 0xff : c_.below(1 << 16))};
    s.idtr = {c_.percent(85) ? kIdt : anything(),
              static_cast<uint16_t>(c_.percent(85) ? 0xfff : c_.below(1 << 16))};
    if (real && c_.percent(85)) s.idtr = {0, 0x3ff};
  }

  void descriptors() {
    std::vector<uint8_t> gdt(0x100);
    const auto set = [&](size_t index, uint64_t value) { std::memcpy(&gdt[index * 8], &value, 8); };
    set(1, is64() ? 0x00af'9b00'0000'ffff : 0x00cf'9b00'0000'ffff);
    set(2, 0x00cf'9300'0000'ffff);
    set(3, 0x0000'8b00'3000'0067);
    set(5, is64() ? 0x00af'fb00'0000'ffff : 0x00cf'fb00'0000'ffff);
    set(6, 0x00cf'f300'0000'ffff);
    for (size_t i = 7; i < 32; ++i) set(i, c_.number());
    if (wild_) set(c_.below(8), c_.number());
    put(kGdt, gdt);
    std::vector<uint8_t> idt(0x1000);
    const size_t gate_bytes = is64() ? 16 : 8;
    if (g_.mode == Mode::kReal) {
      idt.resize(0x400);
      for (size_t i = 0; i < 256; ++i) {
        const uint32_t vector = static_cast<uint32_t>(kCode >> 4) << 16 |
                                (wild_ ? c_.below(1 << 16) : c_.below(0x1400));
        std::memcpy(&idt[i * 4], &vector, 4);
      }
      put(0, idt);
    } else {
      for (size_t i = 0; i * gate_bytes < idt.size(); ++i) {
        const uint64_t to = kCode + c_.below(0x1400);
        uint64_t gate = (to & 0xffff) | uint64_t{8} << 16 | 0x8e00ULL << 32 | to >> 16 << 48;
        if (c_.percent(20)) gate |= 0x6000ULL << 32;
        if (wild_ && c_.percent(5)) gate = c_.number();
        std::memcpy(&idt[i * gate_bytes], &gate, 8);
      }
      put(kIdt, idt);
    }
    std::vector<uint8_t> tss(0x68);
    for (uint8_t& b : tss) b = c_.byte();
    const uint64_t stack = kStack + 0xe00;
    std::memcpy(&tss[4], &stack, 8);  // ESP0 and SS0, or RSP0
    if (!is64()) tss[8] = 0x10;
    put(kTss, tss);
  }

  // All of the 2 MiB where they are, but for what is out of reach; then some entries are made
  // worse.
  void tables() {
    const unsigned bytes = wide() ? 8 : 4;
    std::vector<uint8_t> all(0x6000);
    const auto set = [&](size_t table, size_t index, uint64_t value) {
      std::memcpy(&all[table * 0x1000 + index * bytes], &value, bytes);
    };
    const uint64_t link = 0x7 | (c_.percent(50) ? 0x20 : 0);
    const size_t leaf_entries = wide() ? 512 : 1024;
    const unsigned levels = is64() ? 4 : g_.mode == Mode::kPae ? 3 : 2;
    for (unsigned level = 0; level + 1 < levels; ++level) {
      // An entry of PAE's topmost table has no rights.
      set(level, 0,
          (kTables + (level + 1) * 0x1000) | (g_.mode == Mode::kPae && level == 0 ? 1 : link));
    }
    for (size_t i = 0; i < leaf_entries && i < kMemoryEnd >> 12; ++i) {
      const uint64_t page = i << 12;
      const bool is_table = page >= kTables && page < kTables + 0x6000;
      if (is_table && g_.tables_out_of_reach) continue;
      set(levels - 1, i, page | 0x7 | (c_.percent(50) ? 0x60 : 0));
    }
    for (uint32_t n = wild_ ? c_.below(20) : 0; n > 0; --n) {
      const size_t table = c_.below(levels);
      const size_t index =
          c_.percent(50) ? c_.below(8) : c_.below(static_cast<uint32_t>(leaf_entries));
      uint64_t entry = 0;
      switch (c_.below(5)) {
        case 0:
          entry = (kTables + uint64_t{c_.below(6)} * 0x1000) | 7;
          break;  // a table as its own, or another's, page
        case 1: entry = c_.number(); break;
        case 2: entry = (uint64_t{c_.below(1024)} << 12) | (c_.byte() & 0xff) | 1; break;
        case 3: entry = (anything() & ~uint64_t{0xfff}) | 0x87; break;
        default: entry = (uint64_t{0xfee00} << 12) | 7;
      }
      set(table, index, entry);
    }
    put(kTables, std::move(all));
  }

  void controls() {
    Controls& k = g_.controls;
    if (g_.mode == Mode::kReal) {
      k.cr0 = 0x10;
      return;
    }
    k.cr3 = kTables;
    k.cr0 = 0x8000'0011 | (c_.percent(50) ? cr0::kWP : 0) | (c_.percent(20) ? 1u << 18 : 0);
    k.cr4 = (wide() ? cr4::kPAE : cr4::kPSE) | (c_.percent(50) ? cr4::kPGE : 0) |
            (c_.percent(20) ? cr4::kSMEP : 0) | (c_.percent(20) ? cr4::kSMAP : 0) |
            (c_.percent(50) ? 1u << 9 : 0);
    if (is64()) {
      k.efer = efer::kLME;
      if (c_.percent(50)) k.cr4 |= cr4::kPCIDE;
      if (c_.percent(20)) k.cr4 |= cr4::kPKE;
    }
    if (wide() && c_.percent(70)) k.efer |= efer::kNXE;
    k.efer |= c_.percent(70) ? 1 : 0;
  }

  Choices& c_;
  Guest g_;
  bool wild_ = false;
  const absl::Span<const uint64_t> places_ = kPlaces;
};

}  // namespace

Guest make_guest(Choices& choices) { return Maker(choices).make(); }

}  // namespace gnomon::vmm::hostile

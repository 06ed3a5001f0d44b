// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/generator.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "gnomon/x86/access.h"
#include "gnomon/x86/entry_bits.h"
#include "tests/scenario/choices.h"
#include "tests/scenario/guest_layout.h"

namespace gnomon::scenario {
namespace {

constexpr size_t kMostActions = 4096;

// The machine, and the frame from which the guest uses memory.
std::pair<Setup, uint64_t> choose_setup(Choices& choices) {
  Setup s;
  uint64_t first_frame = 0;
  s.cpus = static_cast<uint8_t>(choices.percent(50) ? 1 : 2 + choices.below(3));
  s.strict = choices.percent(70);
  s.large_backing = choices.percent(40);
  // Tables and data in large host pages, which large guest pages then map as a whole.
  if (s.large_backing && choices.percent(50)) first_frame = kBigBase / kFrame;
  s.scattered = choices.percent(30);
  s.eager = choices.percent(30);
  s.late_accessed = choices.percent(20);
  s.maxphyaddr = choices.pick(std::array<uint8_t, 4>{46, 46, 36, 52});
  s.pse36 = choices.percent(80);
  s.gb_pages = choices.percent(85);
  return {s, first_frame};
}

class Generator {
 public:
  Generator(Choices& choices, std::optional<PagingMode> only)
      : Generator(choices, only, choose_setup(choices)) {}

  Program run() {
    fill_tables();
    for (uint8_t cpu = 0; cpu < program_.setup.cpus; ++cpu) start(cpu);
    while (!choices_.done() && program_.actions.size() < kMostActions) step();
    return std::move(program_);
  }

 private:
  Generator(Choices& choices, std::optional<PagingMode> only,
            const std::pair<Setup, uint64_t>& setup)
      : choices_(choices), layout_(choices, only, setup.second) {
    program_.setup = setup.first;
  }

  Action& add(Verb verb) {
    Action& a = program_.actions.emplace_back();
    a.verb = verb;
    a.cpu = static_cast<uint8_t>(choices_.below(program_.setup.cpus));
    return a;
  }

  void start(uint8_t cpu) {
    Action& a = add(Verb::kMode);
    a.cpu = cpu;
    a.choice = static_cast<uint8_t>(layout_.shape().mode);
    a.address = layout_.root();
    for (const ControlBit bit : {ControlBit::kWp, ControlBit::kNxe, ControlBit::kPse,
                                 ControlBit::kPge, ControlBit::kPcide, ControlBit::kPke}) {
      if (choices_.percent(bit == ControlBit::kNxe || bit == ControlBit::kPse ? 88 : 60)) {
        set(bit, true, cpu);
      }
    }
  }

  Action& store(uint64_t at, uint64_t value, unsigned size) {
    Action& a = add(Verb::kStore);
    a.address = at;
    a.value = size == 8 ? value : value & ((uint64_t{1} << (8 * size)) - 1);
    a.size = static_cast<uint8_t>(size);
    return a;
  }

  // The path of one address below a root, all levels, as an operating system maps a page.
  void path(uint64_t root_at, uint64_t va) {
    const bool plain = choices_.percent(60);
    uint64_t table = root_at;
    for (unsigned level = layout_.shape().levels; level >= 1; --level) {
      uint64_t e = layout_.entry(level, true);
      if (plain) {
        const bool pdpte = layout_.shape().mode == PagingMode::kPae && level == 3;
        e = (level == 1 ? layout_.data_frame() : layout_.table_frame(level - 1)) * kFrame |
            (pdpte ? 0x01 : 0x27);
      } else if (level > 1 && (e & pte::kLarge) == 0) {
        e = (e & ~pte::kFrameMask) | layout_.table_frame(level - 1) * kFrame;
      }
      store(table + layout_.index_of(va, level) * layout_.shape().entry_bytes, e,
            layout_.shape().entry_bytes);
      if (level > 1 && (e & pte::kLarge) != 0) return;
      table = e & pte::kFrameMask;
    }
  }

  // The tables that serve each level, with a good entry wherever some address needs one.
  void fill_tables() {
    for (unsigned level = 1; level <= layout_.shape().levels; ++level) {
      std::vector<uint64_t> indices;
      for (const uint64_t va : layout_.addresses()) indices.push_back(layout_.index_of(va, level));
      std::sort(indices.begin(), indices.end());
      indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
      for (unsigned i = 0; i < GuestLayout::kTablesPerLevel; ++i) {
        const uint64_t table = layout_.level_table(level, i) * kFrame;
        for (const uint64_t index : indices) {
          store(table + index * layout_.shape().entry_bytes, layout_.entry(level, true),
                layout_.shape().entry_bytes);
        }
      }
    }
  }

  void set(ControlBit bit, bool on, uint8_t cpu) {
    Action& a = add(Verb::kSet);
    a.cpu = cpu;
    a.choice = static_cast<uint8_t>(bit);
    a.flag = on;
  }

  void access() {
    const bool write = choices_.percent(35);
    Action& a = add(Verb::kAccess);
    const uint64_t op = write ? 1 : choices_.percent(80) ? 0 : 2;
    a.choice = static_cast<uint8_t>(op * 3 + choices_.pick(std::array<uint64_t, 5>{0, 0, 1, 1, 2}));
    a.address = layout_.address();
    a.size = choices_.pick(std::array<uint8_t, 4>{8, 8, 4, 1});
    if (write)
      a.value = choices_.percent(85) ? layout_.entry(layout_.some_level(), true)
                                     : choices_.below(~uint64_t{0});
  }

  // Each choice is a statement of its own: compilers differ in the order of arguments.
  void table_write() {
    const unsigned level = layout_.some_level();
    const unsigned width = layout_.shape().entry_bytes;
    switch (choices_.below(16)) {
      case 12:
      case 13:
      case 0: {
        const uint64_t va = choices_.pick(layout_.addresses());
        path(layout_.root(), va);
        return;
      }
      case 1: store(layout_.entry_place(level), 0, width); return;
      // Flags only: the byte with P, W, U, A and D, of an entry that is there or not.
      case 2: {
        const uint64_t flags =
            choices_.pick(std::array<uint64_t, 6>{0x67, 0x47, 0x27, 0x07, 0x65, 0x63});
        store(layout_.entry_place(level), flags, 1);
        return;
      }
      // Half of an entry, and across two of them.
      case 3: {
        const uint64_t half = choices_.below(2) * 0x1000;
        store(layout_.entry_place(level) + width / 2, half, width / 2);
        return;
      }
      case 4: {
        const uint64_t high = layout_.entry(level, true) << 32;
        const uint64_t low = layout_.entry(level, true) >> 32;
        store(layout_.entry_place(level) + 4, high | low, 8);
        return;
      }
      case 5: {
        const auto size = static_cast<unsigned>(1 + choices_.below(8));
        const uint64_t value = choices_.below(~uint64_t{0});
        const uint64_t place = layout_.entry_place(level);
        store(place + 1 + choices_.below(7), value, size);
        return;
      }
      // A table that points to itself.
      case 6: {
        const uint64_t frame = layout_.table_frame() * kFrame;
        const uint64_t index = layout_.index_of(choices_.pick(layout_.addresses()), level);
        store(frame + index * width, frame | 0x67, width);
        return;
      }
      // Data, where a table may be, and the other way round.
      case 7: {
        const uint64_t value = choices_.below(~uint64_t{0});
        const uint64_t frame = layout_.data_frame() * kFrame;
        store(frame + choices_.below(512) * 8, value, 8);
        return;
      }
      case 8: {
        const uint64_t value = layout_.entry(level, true);
        const uint64_t base =
            choices_.pick(std::array<uint64_t, 4>{kRomBase, kMmioBase, kHole, kPlugBase});
        store(base + choices_.below(4) * 8, value, width);
        return;
      }
      default: {
        const uint64_t value = layout_.entry(level, choices_.percent(70));
        store(layout_.entry_place(level), value, width);
      }
    }
  }

  void flush() {
    switch (choices_.below(3)) {
      case 0: add(Verb::kInvlpg).address = layout_.address(); return;
      case 1: {
        Action& a = add(Verb::kInvpcid);
        a.choice = static_cast<uint8_t>(choices_.below(4));
        a.value = choices_.below(3);
        a.address = layout_.address();
        return;
      }
      default: {
        Action& a = add(Verb::kCr3);
        a.address = layout_.root();
        if (choices_.percent(60)) a.address |= choices_.below(3);
        a.flag = choices_.percent(50);
        return;
      }
    }
  }

  void control() {
    switch (choices_.below(16)) {
      case 0: {
        Action& a = add(Verb::kMode);
        a.choice = static_cast<uint8_t>(
            choices_.percent(80) ? static_cast<uint64_t>(layout_.shape().mode) : choices_.below(5));
        a.address = layout_.root();
        return;
      }
      case 1:
      case 2: add(Verb::kPkru).value = choices_.below(256); return;
      default: {
        const auto cpu = static_cast<uint8_t>(choices_.below(program_.setup.cpus));
        const bool on = choices_.percent(50);
        set(static_cast<ControlBit>(choices_.below(static_cast<uint64_t>(ControlBit::kCount))), on,
            cpu);
      }
    }
  }

  void host_change() {
    static constexpr Verb kVerbs[] = {
        Verb::kRemap,    Verb::kRemap,   Verb::kRemap,   Verb::kBalloon, Verb::kDeflate,
        Verb::kDeflate,  Verb::kSplit,   Verb::kPromote, Verb::kPlug,    Verb::kUnplug,
        Verb::kLogStart, Verb::kLogTake, Verb::kLogTake, Verb::kLogStop, Verb::kReclaim};
    Action& a = add(choices_.pick(kVerbs));
    a.cpu = 0;
    const uint64_t frame = choices_.percent(50) ? layout_.table_frame() : layout_.data_frame();
    switch (a.verb) {
      case Verb::kPlug:
      case Verb::kUnplug:
      case Verb::kReclaim: return;
      case Verb::kSplit:
      case Verb::kPromote: a.address = kBigBase + choices_.below(2) * 0x200000; return;
      case Verb::kLogStart:
      case Verb::kLogTake:
      case Verb::kLogStop:
        a.address = choices_.percent(50) ? 0 : frame * kFrame;
        a.value = choices_.percent(50) ? 0x800 : 1 + choices_.below(4);
        return;
      case Verb::kDeflate:
        if (ballooned_.empty()) break;
        a.address = ballooned_.back();
        ballooned_.pop_back();
        return;
      default: break;
    }
    a.address = choices_.percent(15) ? kBigBase + choices_.below(4) * 0x100000 : frame * kFrame;
    if (a.verb == Verb::kBalloon) ballooned_.push_back(a.address);
  }

  void step() {
    const uint64_t what = choices_.below(100);
    if (what < 58) return access();
    if (what < 82) return table_write();
    if (what < 90) return flush();
    if (what < 96) return control();
    host_change();
  }

  Choices& choices_;
  GuestLayout layout_;
  Program program_;
  std::vector<uint64_t> ballooned_;
};

}  // namespace

Program generate(uint64_t seed, unsigned length, std::optional<PagingMode> only) {
  SeededChoices choices(seed, length);
  return Generator(choices, only).run();
}

Program generate_from(absl::Span<const uint8_t> bytes) {
  ByteChoices choices(bytes);
  return Generator(choices, std::nullopt).run();
}

}  // namespace gnomon::scenario

// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/generator.h"

#include <algorithm>
#include <array>
#include <vector>

#include "gnomon/x86/access.h"
#include "gnomon/x86/controls.h"
#include "gnomon/x86/entry_bits.h"
#include "tests/scenario/random.h"

namespace gnomon::scenario {
namespace {

constexpr uint64_t kFirstTable = 1, kTables = 15;  // frames that are mostly tables
constexpr uint64_t kTablesPerLevel = 3;
constexpr uint64_t kFirstData = 18, kData = 10;  // frames that are mostly data
constexpr size_t kMostActions = 4096;

struct Shape {
  PagingMode mode;
  unsigned levels;
  unsigned index_bits;
  unsigned entry_bytes;
};
constexpr Shape kShapes[] = {{PagingMode::kLegacy32, 2, 10, 4},
                             {PagingMode::kPae, 3, 9, 8},
                             {PagingMode::kLevel4, 4, 9, 8},
                             {PagingMode::kLevel5, 5, 9, 8}};

// Where choices come from. `Source` has below(n), percent(n) and done().
class Seeded {
 public:
  Seeded(uint64_t seed, unsigned length) : random_(seed), left_(length) {}
  uint64_t below(uint64_t bound) { return random_.below(bound); }
  bool done() { return left_-- == 0; }

 private:
  Random random_;
  unsigned left_;
};

class Bytes {
 public:
  explicit Bytes(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t below(uint64_t bound) {
    uint64_t value = 0;
    for (uint64_t range = 1; range < bound && !bytes_.empty(); range <<= 8) {
      value = value << 8 | bytes_[0];
      bytes_.remove_prefix(1);
    }
    return value % bound;
  }
  bool done() { return bytes_.empty(); }

 private:
  absl::Span<const uint8_t> bytes_;
};

template <class Source>
class Generator {
 public:
  explicit Generator(Source source, std::optional<PagingMode> only = std::nullopt)
      : source_(source), only_(only) {}

  Program run() {
    set_up();
    while (!source_.done() && program_.actions.size() < kMostActions) step();
    return std::move(program_);
  }

 private:
  uint64_t below(uint64_t n) { return source_.below(n); }
  // A guest of one mode is one that cooperates: it keeps, most of the time, to what validated
  // tables allow.
  bool tame() const { return only_.has_value(); }
  bool percent(unsigned n) { return below(100) < n; }
  template <class C>
  auto pick(const C& from) {
    return from[below(std::size(from))];
  }
  Action& add(Verb verb) {
    Action& a = program_.actions.emplace_back();
    a.verb = verb;
    a.cpu = static_cast<uint8_t>(below(program_.setup.cpus));
    return a;
  }

  void set_up() {
    Setup& s = program_.setup;
    s.cpus = static_cast<uint8_t>(percent(50) ? 1 : 2 + below(3));
    s.strict = percent(70);
    s.large_backing = percent(40);
    // Tables and data in large host pages, which large guest pages then map as a whole.
    if (s.large_backing && percent(50)) base_ = kBigBase / kFrame;
    s.scattered = percent(30);
    s.eager = percent(30);
    s.late_accessed = percent(20);
    s.maxphyaddr = pick(std::array<uint8_t, 4>{46, 46, 36, 52});
    s.pse36 = percent(80);
    s.gb_pages = percent(85);
    shape_ = kShapes[pick(std::array<uint8_t, 8>{0, 0, 1, 1, 2, 2, 2, 3})];
    for (const Shape& shape : kShapes) {
      if (only_ == shape.mode) shape_ = shape;
    }
    choose_addresses(4 + below(6));
    fill_tables();
    for (uint8_t cpu = 0; cpu < s.cpus; ++cpu) {
      Action& a = add(Verb::kMode);
      a.cpu = cpu;
      a.choice = static_cast<uint8_t>(shape_.mode);
      a.address = root();
      for (const ControlBit bit : {ControlBit::kWp, ControlBit::kNxe, ControlBit::kPse,
                                   ControlBit::kPge, ControlBit::kPcide, ControlBit::kPke}) {
        if (percent(bit == ControlBit::kNxe || bit == ControlBit::kPse ? 88 : 60))
          set(bit, true, cpu);
      }
    }
  }

  // Addresses that share tables on the way down: few different indices at each level.
  void choose_addresses(uint64_t count) {
    const uint64_t last = (uint64_t{1} << shape_.index_bits) - 1;
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t va = 0;
      for (unsigned level = shape_.levels; level >= 1; --level) {
        uint64_t index = pick(std::array<uint64_t, 5>{0, 0, 1, 1, last});
        if (shape_.mode == PagingMode::kPae && level == 3) index &= 3;
        va |= index << (12 + shape_.index_bits * (level - 1));
      }
      const unsigned width = 12 + shape_.index_bits * shape_.levels;
      if (shape_.levels >= 4 && (va >> (width - 1) & 1) != 0) va |= ~uint64_t{0} << width;
      addresses_.push_back(va);
    }
    if (percent(15))
      addresses_.push_back(pick(std::array<uint64_t, 4>{uint64_t{1} << 47, uint64_t{1} << 56,
                                                        uint64_t{1} << 32, 0x8000'0000'0000'0000}));
    if (percent(50)) addresses_.push_back(addresses_[0] + 5 * kFrame);
  }

  uint64_t index_of(uint64_t va, unsigned level) const {
    return va >> (12 + shape_.index_bits * (level - 1)) & ((uint64_t{1} << shape_.index_bits) - 1);
  }
  uint64_t table_frame() { return base_ + kFirstTable + below(kTables); }
  // Mostly one of a few that serve this level, so that walks get somewhere.
  uint64_t table_frame(unsigned level) {
    return percent(tame() ? 99 : 88) ? level_table(level, below(kTablesPerLevel)) : table_frame();
  }
  uint64_t level_table(unsigned level, uint64_t which) const {
    return base_ + kFirstTable + (level * kTablesPerLevel + which) % kTables;
  }
  uint64_t data_frame() { return base_ + kFirstData + below(kData); }
  uint64_t root() {
    return roots_.empty() || percent(tame() ? 1 : 8) ? table_frame() * kFrame : pick(roots_);
  }
  uint64_t address() {
    const uint64_t offset = pick(std::array<uint64_t, 8>{0, 0, 8, 4, 0xff8, 0x123, 0x800, 0xffc});
    return pick(addresses_) | offset;
  }

  // Anything that an entry may point to.
  uint64_t target(bool leaf, unsigned level) {
    if (tame() && percent(98)) return (leaf ? data_frame() : table_frame(level - 1)) * kFrame;
    if (leaf && level > 1) {
      const uint64_t base =
          pick(std::array<uint64_t, 8>{base_ * kFrame, base_ * kFrame, 0, 0x200000, kBigBase,
                                       kBigBase, kBigBase + 0x200000, uint64_t{1} << 30});
      return percent(90) ? base : base | below(16) << 13;
    }
    switch (below(leaf ? 50 : 60)) {
      case 0: return kRomBase + below(kRomFrames) * kFrame;
      case 1: return kMmioBase;
      case 2: return kHole;
      case 3: return kPlugBase + below(kPlugFrames) * kFrame;
      case 4:
        return pick(
            std::array<uint64_t, 3>{uint64_t{1} << 40, uint64_t{1} << 50, uint64_t{1} << 34});
      case 5: return kBigBase + below(4) * 0x100000;
      case 6:
      case 7:
      case 8:
      case 9: return table_frame() * kFrame;
      default: return (leaf ? data_frame() : table_frame(level - 1)) * kFrame;
    }
  }

  uint64_t entry(unsigned level, bool good) {
    const bool can_be_large = level == 2 || (level == 3 && shape_.levels >= 4);
    const bool large = can_be_large && percent(tame() ? 1 : good ? 12 : 20);
    const bool leaf = level == 1 || large;
    uint64_t e = target(leaf, level);
    if (shape_.entry_bytes == 4) e &= 0xffff'f000;
    if (percent(good ? 98 : 88)) e |= pte::kPresent;
    const bool pdpte = shape_.mode == PagingMode::kPae && level == 3;
    if (pdpte && percent(97)) return e;
    // A cooperating guest maps its own tables too, but only to read them.
    const bool reads_table = tame() && level == 1 && percent(10);
    if (reads_table) e = (e & ~pte::kFrameMask) | table_frame() * kFrame;
    if (!reads_table && percent(level == 1 ? 75 : 90)) e |= pte::kWritable;
    if (percent(level == 1 ? 75 : 92)) e |= pte::kUser;
    if (percent(50)) e |= pte::kAccessed;
    if (percent(30)) e |= pte::kDirty;
    if (large || percent(level == 1 ? 10 : 2)) e |= pte::kLarge;
    if (percent(15)) e |= pte::kGlobal;
    if (shape_.entry_bytes == 8) {
      if (percent(level == 1 ? 12 : 4)) e |= pte::kNoExecute;
      if (shape_.levels >= 4 && percent(12)) e |= below(4) << pte::kKeyShift;
      if (percent(1)) e |= uint64_t{1} << (52 + below(7));  // ignored, but not by PAE
    }
    return e;
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
    const bool plain = percent(60);
    uint64_t table = root_at;
    for (unsigned level = shape_.levels; level >= 1; --level) {
      uint64_t e = entry(level, true);
      if (plain) {
        const bool pdpte = shape_.mode == PagingMode::kPae && level == 3;
        e = (level == 1 ? data_frame() : table_frame(level - 1)) * kFrame | (pdpte ? 0x01 : 0x27);
      } else if (level > 1 && (e & pte::kLarge) == 0) {
        e = (e & ~pte::kFrameMask) | table_frame(level - 1) * kFrame;
      }
      store(table + index_of(va, level) * shape_.entry_bytes, e, shape_.entry_bytes);
      if (level > 1 && (e & pte::kLarge) != 0) return;
      table = e & pte::kFrameMask;
    }
  }

  // The tables that serve each level, with a good entry wherever some address needs one.
  void fill_tables() {
    for (unsigned level = 1; level <= shape_.levels; ++level) {
      std::vector<uint64_t> indices;
      for (const uint64_t va : addresses_) indices.push_back(index_of(va, level));
      std::sort(indices.begin(), indices.end());
      indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
      for (unsigned i = 0; i < kTablesPerLevel; ++i) {
        const uint64_t table = level_table(level, i) * kFrame;
        for (const uint64_t index : indices) {
          store(table + index * shape_.entry_bytes, entry(level, true), shape_.entry_bytes);
        }
        if (level == shape_.levels) roots_.push_back(table);
      }
    }
  }

  // One entry somewhere in a table frame, at an index that some address uses at some level.
  uint64_t entry_place(unsigned level) {
    return table_frame(level) * kFrame + index_of(pick(addresses_), level) * shape_.entry_bytes;
  }

  unsigned some_level() {
    return 1 + static_cast<unsigned>(percent(50) ? 0 : below(shape_.levels));
  }

  void set(ControlBit bit, bool on, uint8_t cpu) {
    Action& a = add(Verb::kSet);
    a.cpu = cpu;
    a.choice = static_cast<uint8_t>(bit);
    a.flag = on;
  }

  void access() {
    const bool write = percent(35);
    Action& a = add(Verb::kAccess);
    const uint64_t op = write ? 1 : percent(80) ? 0 : 2;
    a.choice = static_cast<uint8_t>(op * 3 + pick(std::array<uint64_t, 5>{0, 0, 1, 1, 2}));
    a.address = address();
    a.size = pick(std::array<uint8_t, 4>{8, 8, 4, 1});
    if (write) a.value = percent(85) ? entry(some_level(), true) : below(~uint64_t{0});
  }

  void table_write() {
    const unsigned level = some_level();
    const unsigned width = shape_.entry_bytes;
    switch (below(16)) {
      case 12:
      case 13:
      case 0: path(root(), pick(addresses_)); return;
      case 1: store(entry_place(level), 0, width); return;
      // Flags only: the byte with P, W, U, A and D, of an entry that is there or not.
      case 2:
        store(entry_place(level), pick(std::array<uint64_t, 6>{0x67, 0x47, 0x27, 0x07, 0x65, 0x63}),
              1);
        return;
      // Half of an entry, and across two of them.
      case 3: store(entry_place(level) + width / 2, below(2) * 0x1000, width / 2); return;
      case 4:
        store(entry_place(level) + 4, entry(level, true) << 32 | entry(level, true) >> 32, 8);
        return;
      case 5:
        store(entry_place(level) + 1 + below(7), below(~uint64_t{0}),
              static_cast<unsigned>(1 + below(8)));
        return;
      // A table that points to itself.
      case 6: {
        const uint64_t frame = table_frame() * kFrame;
        store(frame + index_of(pick(addresses_), level) * width, frame | 0x67, width);
        return;
      }
      // Data, where a table may be, and the other way round.
      case 7: store(data_frame() * kFrame + below(512) * 8, below(~uint64_t{0}), 8); return;
      case 8:
        store(pick(std::array<uint64_t, 4>{kRomBase, kMmioBase, kHole, kPlugBase}) + below(4) * 8,
              entry(level, true), width);
        return;
      default: store(entry_place(level), entry(level, percent(70)), width); return;
    }
  }

  void flush() {
    switch (below(3)) {
      case 0: add(Verb::kInvlpg).address = address(); return;
      case 1: {
        Action& a = add(Verb::kInvpcid);
        a.choice = static_cast<uint8_t>(below(4));
        a.value = below(3);
        a.address = address();
        return;
      }
      default: {
        Action& a = add(Verb::kCr3);
        a.address = root() | (percent(60) ? below(3) : 0);
        a.flag = percent(50);
        return;
      }
    }
  }

  void control() {
    switch (below(16)) {
      case 0: {
        Action& a = add(Verb::kMode);
        a.choice =
            static_cast<uint8_t>(percent(80) ? static_cast<uint64_t>(shape_.mode) : below(5));
        a.address = root();
        return;
      }
      case 1:
      case 2: add(Verb::kPkru).value = below(256); return;
      default:
        set(static_cast<ControlBit>(below(static_cast<uint64_t>(ControlBit::kCount))), percent(50),
            static_cast<uint8_t>(below(program_.setup.cpus)));
    }
  }

  void host_change() {
    static constexpr Verb kVerbs[] = {
        Verb::kRemap,    Verb::kRemap,   Verb::kRemap,   Verb::kBalloon, Verb::kDeflate,
        Verb::kDeflate,  Verb::kSplit,   Verb::kPromote, Verb::kPlug,    Verb::kUnplug,
        Verb::kLogStart, Verb::kLogTake, Verb::kLogTake, Verb::kLogStop, Verb::kReclaim};
    Action& a = add(pick(kVerbs));
    a.cpu = 0;
    const uint64_t frame = percent(50) ? table_frame() : data_frame();
    switch (a.verb) {
      case Verb::kPlug:
      case Verb::kUnplug:
      case Verb::kReclaim: return;
      case Verb::kSplit:
      case Verb::kPromote: a.address = kBigBase + below(2) * 0x200000; return;
      case Verb::kLogStart:
      case Verb::kLogTake:
      case Verb::kLogStop:
        a.address = percent(50) ? 0 : frame * kFrame;
        a.value = percent(50) ? 0x800 : 1 + below(4);
        return;
      case Verb::kDeflate:
        if (ballooned_.empty()) break;
        a.address = ballooned_.back();
        ballooned_.pop_back();
        return;
      default: break;
    }
    a.address = percent(15) ? kBigBase + below(4) * 0x100000 : frame * kFrame;
    if (a.verb == Verb::kBalloon) ballooned_.push_back(a.address);
  }

  void step() {
    const uint64_t what = below(100);
    if (what < 58) return access();
    if (what < 82) return table_write();
    if (what < 90) return flush();
    if (what < 96) return control();
    host_change();
  }

  Source source_;
  const std::optional<PagingMode> only_;
  Program program_;
  Shape shape_ = kShapes[0];
  uint64_t base_ = 0;  // first frame of the region where tables and data are
  std::vector<uint64_t> addresses_;
  std::vector<uint64_t> roots_;
  std::vector<uint64_t> ballooned_;
};

}  // namespace

Program generate(uint64_t seed, unsigned length, std::optional<PagingMode> only) {
  return Generator<Seeded>(Seeded(seed, length), only).run();
}

Program generate_from(absl::Span<const uint8_t> bytes) {
  return Generator<Bytes>(Bytes(bytes)).run();
}

}  // namespace gnomon::scenario

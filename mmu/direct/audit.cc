// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <map>

#include "absl/strings/str_format.h"
#include "mmu/direct/direct.h"
#include "mmu/direct/entry_base.h"

// Everything that the bookkeeping says, once more from the tables themselves.

namespace gnomon {

using direct::FrameType;
using direct::FrameTypes;
using direct::PvTables;

namespace {

class Auditor {
 public:
  Auditor(const P2m& p2m, const PvTables& tables) : p2m_(p2m), tables_(tables), types_(tables.types()) {}

  std::vector<AuditFinding> run(const std::vector<uint32_t>& pins) {
    for (const uint32_t root : pins) use_table(root, FrameType::kL4, "a pin");
    for (const uint32_t table : tables_.tables()) check_table(table);
    for (const auto& [key, value] : tables_.remembered()) check_remembered(key, value);
    check_frames();
    for (const PageSize size : {PageSize::k2M, PageSize::k1G}) check_regions(size);
    if (!tables_.doomed().empty()) add(1, "tables without uses were left in place");
    return std::move(findings_);
  }

 private:
  struct Counts {
    uint64_t types = 0, refs = 0, writable = 0, tables = 0;
  };
  using RegionCounts = std::map<uint64_t, Counts>;

  template <class... Args>
  void add(int invariant, const absl::FormatSpec<Args...>& format, const Args&... args) {
    findings_.push_back({invariant, absl::StrFormat(format, args...)});
  }
  RegionCounts& regions(PageSize size) { return size == PageSize::k1G ? giga_ : mega_; }

  void use_table(uint32_t table, FrameType type, absl::string_view by) {
    ++frames_[table].types;
    ++frames_[table].refs;
    if (types_.type(table) != type) {
      add(2, "frame %d is used as a table of level %d by %s, and has type %d", table, level_of(type), by,
          static_cast<int>(types_.type(table)));
    }
  }

  void check_table(uint32_t table) {
    const Gpa gpa = p2m_.frame_at(table);
    const P2mEntry e = p2m_.lookup(gpa);
    if (!is_table(types_.type(table))) return add(2, "%s is in the list of tables", to_string(gpa));
    if (!e.is_ram()) return add(1, "the table at %s is not RAM", to_string(gpa));
    if (tables_.m2p().find(e.frame()) != gpa) add(8, "no way back to the table at %s", to_string(gpa));
    for (const PageSize size : {PageSize::k2M, PageSize::k1G}) ++regions(size)[gpa.frame(size)].tables;
    for (unsigned slot = 0; slot < PvTables::kEntries; ++slot) check_entry({table, slot});
  }

  void check_entry(PvTables::Place place) {
    const uint64_t raw = tables_.raw(place);
    if (!Long4::present(raw)) return;
    const unsigned level = level_of(types_.type(place.table));
    const PvTables::Target t = tables_.target_of(raw, level);
    const P2mEntry e = p2m_.lookup(t.gpa);
    const std::string where =
        absl::StrFormat("entry %d of the level-%d table at %s", place.slot, level,
                        to_string(p2m_.frame_at(place.table)));
    if (!e.is_ram() || e.frame() != t.hpa || e.size() < t.size ||
        p2m_.host().owner(t.hpa) != FrameOwner::kGuestRam) {
      return add(1, "%s reaches %s, which is not %s", where, to_string(t.hpa), to_string(t.gpa));
    }
    const uint64_t guest = tables_.visible(place) & ~pte::kWritable;
    if (direct::with_base(guest, level, t.hpa.value()) != (raw & ~pte::kWritable)) {
      add(8, "%s reads as 0x%x and is 0x%x", where, guest, raw);
    }
    if (t.leaf) {
      check_leaf(t, where, raw, tables_.is_remembered(place));
    } else if (p2m_.frame_index(t.gpa) == place.table) {
      ++frames_[place.table].refs;
      if (level != 4 || (raw & pte::kWritable) != 0) add(2, "%s names its own table", where);
    } else {
      use_table(p2m_.frame_index(t.gpa), direct::table_type(level - 1), where);
    }
  }

  void check_leaf(const PvTables::Target& t, const std::string& where, uint64_t raw, bool read_only) {
    const bool writable = (raw & pte::kWritable) != 0;
    if (writable && read_only) add(2, "%s is remembered as read-only and is writable", where);
    const bool wanted = writable || read_only;
    if (t.size == PageSize::k4K) {
      Counts& counts = frames_[p2m_.frame_index(t.gpa)];
      ++counts.refs;
      if (wanted) ++counts.types;
    } else {
      Counts& counts = regions(t.size)[t.gpa.frame(t.size)];
      ++counts.refs;
      if (wanted) ++counts.writable;
    }
    if (!wanted) return;
    for (uint64_t i = 0; i < t.frames(); ++i) {
      const Gpa gpa = Gpa::from_frame(t.gpa.frame() + i);
      if (types_.is_table_at(gpa)) add(2, "%s maps the table at %s writable", where, to_string(gpa));
      if (writable && !p2m_.lookup(gpa).writable()) {
        add(2, "%s maps %s writable, which is protected", where, to_string(gpa));
      }
    }
  }

  void check_remembered(uint64_t key, uint64_t value) {
    const PvTables::Place place{static_cast<uint32_t>(key / PvTables::kEntries),
                                static_cast<unsigned>(key % PvTables::kEntries)};
    if (!is_table(types_.type(place.table))) {
      return add(8, "entry %d of frame %d is remembered, which is no table", place.slot, place.table);
    }
    const uint64_t raw = tables_.raw(place);
    const bool leaf = Long4::leaf(raw, level_of(types_.type(place.table)), {});
    if (Long4::present(raw) ? !leaf : raw != 0 || !Long4::present(value)) {
      add(1, "entry %d of frame %d is 0x%x in place and remembered as 0x%x", place.slot, place.table,
          raw, value);
    }
  }

  void check_frames() {
    for (uint32_t i = 0; i < p2m_.frame_capacity(); ++i) {
      const FrameTypes::Frame& frame = types_.frame(i);
      const auto it = frames_.find(i);
      const Counts counts = it == frames_.end() ? Counts{} : it->second;
      const FrameType type = types_.type(i);
      if (frame.type_count != counts.types || frame.refs != counts.refs) {
        add(2, "frame %d: %d type uses and %d references are recorded, %d and %d found", i,
            frame.type_count, frame.refs, counts.types, counts.refs);
      }
      if ((type != FrameType::kNone) != (counts.types != 0) ||
          is_table(type) != tables_.tables().contains(i)) {
        add(2, "frame %d has type %d with %d uses", i, static_cast<int>(type), counts.types);
      }
    }
  }

  void check_regions(PageSize size) {
    for (const auto& [number, region] : types_.regions(size)) {
      const Counts counts = regions(size)[number];
      if (region.refs != counts.refs || region.writable != counts.writable ||
          region.tables != counts.tables) {
        add(2, "%s region %d: %d/%d/%d recorded, %d/%d/%d found", name_of(size), number, region.refs,
            region.writable, region.tables, counts.refs, counts.writable, counts.tables);
      }
      regions(size).erase(number);
    }
    if (!regions(size).empty()) add(2, "%d %s regions are not recorded", regions(size).size(), name_of(size));
  }

  const P2m& p2m_;
  const PvTables& tables_;
  const FrameTypes& types_;
  std::map<uint32_t, Counts> frames_;
  RegionCounts mega_, giga_;
  std::vector<AuditFinding> findings_;
};

}  // namespace

std::vector<AuditFinding> DirectMmu::audit() const { return Auditor(p2m_, tables_).run(pins_); }

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
// `info tlb` and `info mem`: what the guest's tables map, page by page and in ranges, in QEMU's
// layouts.
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/memory/bytes.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

/// Tables may lead to themselves, or share parts, and so map more pages than there is memory to
/// list them in; or, in four frames, be more tables than anybody has time to look through, with no
/// page in them.
constexpr uint64_t kMostPages = uint64_t{1} << 20;
constexpr uint64_t kMostTables = uint64_t{1} << 18;

struct MappedPage {
  uint64_t linear;
  uint64_t bytes;
  uint64_t physical;
  uint64_t entry;
  Rights rights;  ///< composed along the walk
  bool large;
};

template <class Format, class Visit>
class TableScan {
 public:
  TableScan(const GuestView& view, Visit visit)
      : view_(view), rules_(view.rules()), visit_(visit) {}

  /// False: there were too many pages or tables.
  bool table(unsigned level, Gpa at, uint64_t linear, Rights above) {
    if (++tables_ > kMostTables) return false;
    const unsigned entries = Format::kLevels == 3 && level == 3 ? 4u : 1u << Format::kIndexBits;
    std::vector<uint8_t> bytes(entries * sizeof(typename Format::Entry));
    // A root of PAE paging need not begin a page.
    if (!view_.read_physical(at, absl::MakeSpan(bytes))) return true;
    for (unsigned i = 0; i < entries; ++i) {
      const uint64_t e =
          load_bytes(&bytes[i * sizeof(typename Format::Entry)], sizeof(typename Format::Entry));
      if (!entry(level, e, linear + (uint64_t{i} << Format::shift(level)), above)) return false;
    }
    return true;
  }

  bool entry(unsigned level, uint64_t value, uint64_t linear, Rights above) {
    const auto e = static_cast<typename Format::Entry>(value);
    if (!Format::present(e)) return true;
    const bool leaf = Format::leaf(e, level, rules_);
    if (Format::malformed(e, level, leaf, rules_)) return true;
    const Rights rights = above & Format::rights(e, level, rules_);
    if (!leaf) return table(level - 1, Gpa(Format::table_base(e)), linear, rights);
    if (++pages_ > kMostPages) return false;
    constexpr unsigned kBits = Format::kAddressBits;
    if (kBits > 32 && (linear >> (kBits - 1) & 1) != 0) linear |= ~uint64_t{0} << (kBits - 1);
    visit_(MappedPage{linear, bytes_of(Format::leaf_size(level)), Format::leaf_base(e, level),
                      value, rights, level > 1});
    return true;
  }

 private:
  const GuestView& view_;
  const PagingRules rules_;
  Visit visit_;
  uint64_t pages_ = 0;
  uint64_t tables_ = 0;
};

/// Calls visit(page) for each page in the order of addresses. False: there were too many pages or
/// tables.
template <class Visit>
bool for_each_page(const GuestView& view, Visit visit) {
  const Controls& c = view.controls();
  const PagingRules rules = view.rules();
  const Gpa root = root_of(c, rules.mode);
  switch (rules.mode) {
    case PagingMode::kOff: return true;
    case PagingMode::kLegacy32:
      return TableScan<Legacy32Format, Visit>(view, visit).table(2, root, 0, kAllRights);
    case PagingMode::kLevel4:
      return TableScan<Long4, Visit>(view, visit).table(4, root, 0, kAllRights);
    case PagingMode::kLevel5:
      return TableScan<Long5, Visit>(view, visit).table(5, root, 0, kAllRights);
    case PagingMode::kPae: {
      TableScan<PaeFormat, Visit> scan(view, visit);
      if (rules.pdptes_in_memory) return scan.table(3, root, 0, kAllRights);
      for (unsigned i = 0; i < 4; ++i) {
        if (!scan.entry(3, c.pdpte[i], uint64_t{i} << 30, kAllRights)) return false;
      }
      return true;
    }
  }
  return true;
}

constexpr absl::string_view kTooMany = "the tables lead to more than is listed here\n";

absl::Status check_paging(const GuestView& view, absl::string_view arguments) {
  if (absl::Status s = no_arguments(arguments); !s.ok()) return s;
  if (view.rules().mode == PagingMode::kOff) return absl::FailedPreconditionError("PG disabled");
  return absl::OkStatus();
}

struct FlagLetter {
  uint64_t bit;
  char letter;
};
constexpr FlagLetter kFlagLetters[] = {
    {pte::kNoExecute, 'X'},   {pte::kGlobal, 'G'},   {pte::kLarge, 'P'},
    {pte::kDirty, 'D'},       {pte::kAccessed, 'A'}, {1u << 4 /* PCD */, 'C'},
    {1u << 3 /* PWT */, 'T'}, {pte::kUser, 'U'},     {pte::kWritable, 'W'},
};

}  // namespace

absl::StatusOr<std::string> list_pages(MonitorContext& context, absl::string_view arguments) {
  const GuestView view = context.view();
  if (absl::Status s = check_paging(view, arguments); !s.ok()) return s;
  std::string text;
  const bool all = for_each_page(view, [&](const MappedPage& page) {
    absl::StrAppendFormat(&text, "%016x: %016x ", page.linear, page.physical);
    // Bit 7 of the entry of a 4K page is PAT.
    const uint64_t entry = page.large ? page.entry : page.entry & ~pte::kLarge;
    for (const FlagLetter& f : kFlagLetters) text += (entry & f.bit) != 0 ? f.letter : '-';
    text += '\n';
  });
  if (!all) absl::StrAppend(&text, kTooMany);
  return text;
}

absl::StatusOr<std::string> list_ranges(MonitorContext& context, absl::string_view arguments) {
  const GuestView view = context.view();
  if (absl::Status s = check_paging(view, arguments); !s.ok()) return s;
  std::string text;
  uint64_t start = 0, bytes = 0;
  Rights rights = 0;
  const auto finish = [&] {
    if (bytes == 0) return;
    absl::StrAppendFormat(&text, "%016x-%016x %016x %cr%c\n", start, start + bytes, bytes,
                          (rights & kRightUser) != 0 ? 'u' : '-',
                          (rights & kRightWrite) != 0 ? 'w' : '-');
  };
  const bool all = for_each_page(view, [&](const MappedPage& page) {
    const Rights here = page.rights & (kRightUser | kRightWrite);
    if (bytes != 0 && page.linear == start + bytes && here == rights) {
      bytes += page.bytes;
      return;
    }
    finish();
    start = page.linear;
    bytes = page.bytes;
    rights = here;
  });
  finish();
  if (!all) absl::StrAppend(&text, kTooMany);
  return text;
}

}  // namespace gnomon::vmm

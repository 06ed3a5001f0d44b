// SPDX-License-Identifier: Apache-2.0
#include "mmu/shadow/create.h"

#include "absl/strings/str_cat.h"
#include "mmu/options.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

absl::Status finish(const OptionList& list, const ShadowOptions& o) {
  if (absl::Status status = list.finish(); !status.ok()) return status;
  if ((o.prefetch & (o.prefetch - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("prefetch=", o.prefetch, ": a power of two up to 64, or 0 for none"));
  }
  if (o.flags == FlagPolicy::kLazy && o.directory != DirectoryPolicy::kFullTrap) {
    return absl::InvalidArgumentError(
        "flags=lazy needs directory=full-trap: otherwise the guest reads its tables unseen");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Backend>> made(std::unique_ptr<ShadowMmu> mmu) {
  if (!mmu->ready()) {
    return absl::ResourceExhaustedError("no address space for the shadow pager's reverse map");
  }
  return mmu;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> create_agile(P2m& p2m, absl::string_view text) {
  absl::StatusOr<OptionList> list = OptionList::parse(text);
  if (!list.ok()) return list.status();
  ShadowOptions o;
  o.unsync = false;  // what would go out of sync goes to nested mode
  AgileOptions agile;
  o.prefetch = static_cast<unsigned>(list->get_uint("prefetch", o.prefetch, 0, 64));
  o.cached_roots = static_cast<unsigned>(list->get_uint("roots", o.cached_roots, 0, 16));
  o.large_pages = list->get_bool("large", o.large_pages);
  o.budget_bytes = list->get_bytes("budget", o.budget_bytes, 0, uint64_t{1} << 40);
  agile.write_threshold =
      static_cast<unsigned>(list->get_uint("writes", agile.write_threshold, 0, 1u << 20));
  agile.interval = static_cast<unsigned>(list->get_uint("interval", agile.interval, 1, 1u << 30));
  agile.start_nested =
      list->get_enum("start", agile.start_nested, {{"nested", true}, {"shadow", false}});
  agile.period = list->get_uint("period", agile.period, 1, uint64_t{1} << 62);
  if (absl::Status status = finish(*list, o); !status.ok()) return status;
  return made(std::make_unique<ShadowMmu>(p2m, o, agile));
}

absl::StatusOr<std::unique_ptr<Backend>> create_shadow(P2m& p2m, absl::string_view text) {
  absl::StatusOr<OptionList> list = OptionList::parse(text);
  if (!list.ok()) return list.status();
  ShadowOptions o;
  o.unsync = list->get_bool("unsync", o.unsync);
  o.prefetch = static_cast<unsigned>(list->get_uint("prefetch", o.prefetch, 0, 64));
  o.cached_roots = static_cast<unsigned>(list->get_uint("roots", o.cached_roots, 0, 16));
  o.flood_threshold = static_cast<unsigned>(list->get_uint("flood", o.flood_threshold, 0, 255));
  o.large_pages = list->get_bool("large", o.large_pages);
  o.update_on_write = list->get_bool("update", o.update_on_write);
  o.mmio_cache = list->get_bool("mmio", o.mmio_cache);
  o.directory = list->get_enum<DirectoryPolicy>(
      "directory", o.directory,
      {{{"write-trap", DirectoryPolicy::kWriteTrap}, {"full-trap", DirectoryPolicy::kFullTrap}}});
  o.flags = list->get_enum<FlagPolicy>(
      "flags", o.flags, {{{"eager", FlagPolicy::kEager}, {"lazy", FlagPolicy::kLazy}}});
  o.budget_bytes = list->get_bytes("budget", o.budget_bytes, 0, uint64_t{1} << 40);
  if (absl::Status status = finish(*list, o); !status.ok()) return status;
  return made(std::make_unique<ShadowMmu>(p2m, o));
}

}  // namespace gnomon::shadow

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/guest/options.h"

#include <bit>

#include "absl/strings/str_format.h"
#include "mmu/options.h"

namespace gnomon {

absl::StatusOr<GuestOptions> parse_guest_options(absl::string_view text, GuestOptions base) {
  absl::StatusOr<OptionList> list = OptionList::parse(text);
  if (!list.ok()) return list.status();
  GuestOptions o = base;
  o.thp = list->get_enum("thp", o.thp,
                         {{"never", HugePages::kNever},
                          {"madvise", HugePages::kMadvise},
                          {"always", HugePages::kAlways}});
  o.placement = list->get_enum("placement", o.placement,
                               {{"sequential", FramePlacement::kSequential},
                                {"random", FramePlacement::kRandom},
                                {"fragmented", FramePlacement::kFragmented}});
  o.fragmented_percent =
      static_cast<unsigned>(list->get_uint("fragmented_percent", o.fragmented_percent, 0, 100));
  o.fault_around_bytes =
      list->get_bytes("fault_around_bytes", o.fault_around_bytes, 4 << 10, 2 << 20);
  o.kernel_entries = list->get_bool("kernel_entries", o.kernel_entries);
  o.kernel_large = list->get_bool("kernel_large", o.kernel_large);
  o.pcid = list->get_bool("pcid", o.pcid);
  o.clear_on_exit = list->get_bool("clear_on_exit", o.clear_on_exit);
  o.max_processes =
      static_cast<unsigned>(list->get_uint("max_processes", o.max_processes, 1, 1 << 22));
  o.max_mappings = list->get_uint("max_mappings", o.max_mappings, 1, uint64_t{1} << 32);
  o.seed = list->get_uint("seed", o.seed, 0, ~uint64_t{0});
  if (absl::Status s = list->finish(); !s.ok()) return s;
  if (!std::has_single_bit(o.fault_around_bytes)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("fault_around_bytes=%d: not a power of two", o.fault_around_bytes));
  }
  return o;
}

}  // namespace gnomon

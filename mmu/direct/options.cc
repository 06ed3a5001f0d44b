// SPDX-License-Identifier: Apache-2.0
#include "gnomon/direct/options.h"

#include "mmu/options.h"

namespace gnomon {

absl::StatusOr<DirectOptions> parse_direct_options(absl::string_view text) {
  absl::StatusOr<OptionList> list = OptionList::parse(text);
  if (!list.ok()) return list.status();
  DirectOptions o;
  o.batch = static_cast<uint32_t>(list->get_uint("batch", o.batch, 1, 65536));
  o.pins = static_cast<uint32_t>(list->get_uint("pins", o.pins, 1, 65536));
  o.trap = list->get_bool("trap", o.trap);
  if (absl::Status status = list->finish(); !status.ok()) return status;
  return o;
}

}  // namespace gnomon

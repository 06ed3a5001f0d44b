// SPDX-License-Identifier: Apache-2.0
#include "mmu/nested/nested.h"
#include "mmu/options.h"

namespace gnomon {
namespace {

absl::StatusOr<NestedOptions> parse(absl::string_view text, bool has_ad) {
  absl::StatusOr<OptionList> list = OptionList::parse(text);
  if (!list.ok()) return list.status();
  NestedOptions options;
  options.levels = static_cast<unsigned>(list->get_uint("levels", options.levels, 4, 5));
  options.max_page = list->get_enum(
      "max_page", options.max_page,
      {{{"4K", PageSize::k4K}, {"2M", PageSize::k2M}, {"1G", PageSize::k1G}}});
  if (has_ad) options.ad = list->get_bool("ad", options.ad);
  if (absl::Status status = list->finish(); !status.ok()) return status;
  return options;
}

template <class Flavour>
std::unique_ptr<Backend> make(P2m& p2m, const NestedOptions& options) {
  return std::make_unique<NestedMmu<Flavour>>(p2m, options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> create_nested(P2m& p2m, absl::string_view options) {
  const absl::StatusOr<NestedOptions> o = parse(options, /*has_ad=*/true);
  if (!o.ok()) return o.status();
  if (o->levels == 5) return o->ad ? make<Ept<5, true>>(p2m, *o) : make<Ept<5, false>>(p2m, *o);
  return o->ad ? make<Ept<4, true>>(p2m, *o) : make<Ept<4, false>>(p2m, *o);
}

absl::StatusOr<std::unique_ptr<Backend>> create_npt(P2m& p2m, absl::string_view options) {
  const absl::StatusOr<NestedOptions> o = parse(options, /*has_ad=*/false);
  if (!o.ok()) return o.status();
  return o->levels == 5 ? make<Npt<5>>(p2m, *o) : make<Npt<4>>(p2m, *o);
}

}  // namespace gnomon

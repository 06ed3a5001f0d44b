// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gnomon/backend.h"
#include "mmu/direct/direct.h"
#include "mmu/native/native.h"
#include "mmu/nested/nested.h"
#include "mmu/options.h"
#include "mmu/shadow/create.h"
#include "mmu/vtlb/vtlb.h"

namespace gnomon {
namespace {

absl::StatusOr<std::unique_ptr<Backend>> create_native(P2m& p2m, absl::string_view options) {
  const absl::StatusOr<OptionList> list = OptionList::parse(options);
  if (!list.ok()) return list.status();
  if (absl::Status status = list->finish(); !status.ok()) return status;
  return std::make_unique<NativeMmu>(p2m);
}

constexpr BackendInfo kBackends[] = {
    {"native", "no virtualization: one walk of the guest's tables", create_native},
    {"shadow", "shadow page tables with a write-protected cache: unsync=on|off, prefetch=N, roots=N, "
               "flood=N, large=on|off, update=on|off, mmio=on|off, "
               "directory=write-trap|full-trap, flags=eager|lazy, budget=BYTES",
     shadow::create_shadow},
    {"vtlb", "shadow page tables as a big TLB, nothing kept across CR3: large=on|off, budget=BYTES",
     create_vtlb},
    {"direct", "paravirtual direct paging, 4-level guests: batch=N, pins=N, trap=on|off", create_direct},
    {"agile", "shadow above, nested below, by how often a table is written: writes=N, interval=N, "
              "period=N, start=nested|shadow, "
              "prefetch=N, roots=N, large=on|off, budget=BYTES",
     shadow::create_agile},
    {"nested", "nested paging with EPT: levels=4|5, max_page=4K|2M|1G, ad=on|off", create_nested},
    {"ept", "another name for nested", create_nested},
    {"npt", "nested paging with NPT: levels=4|5, max_page=4K|2M|1G", create_npt},
};

}  // namespace

absl::Span<const BackendInfo> backends() { return kBackends; }

absl::StatusOr<std::unique_ptr<Backend>> create_backend(absl::string_view spec, P2m& p2m) {
  const size_t colon = spec.find(':');
  const absl::string_view name = spec.substr(0, colon);
  const absl::string_view options =
      colon == absl::string_view::npos ? absl::string_view() : spec.substr(colon + 1);
  std::vector<std::string> known;
  for (const BackendInfo& row : kBackends) {
    if (row.name == name) return row.create(p2m, options);
    known.emplace_back(row.name);
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("unknown backend \"%s\": %s", name, suggest(name, known)));
}

}  // namespace gnomon

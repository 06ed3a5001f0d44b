// SPDX-License-Identifier: Apache-2.0
#include "gnomon/x86/controls.h"

#include "absl/strings/str_cat.h"
#include "gnomon/x86/access.h"

namespace gnomon {

PagingMode paging_mode(const Controls& c) {
  if ((c.cr0 & cr0::kPG) == 0) return PagingMode::kOff;
  if ((c.cr4 & cr4::kPAE) == 0) return PagingMode::kLegacy32;
  if ((c.efer & efer::kLMA) == 0) return PagingMode::kPae;
  return (c.cr4 & cr4::kLA57) != 0 ? PagingMode::kLevel5 : PagingMode::kLevel4;
}

absl::string_view name_of(PagingMode mode) {
  switch (mode) {
    case PagingMode::kOff: return "off";
    case PagingMode::kLegacy32: return "32-bit";
    case PagingMode::kPae: return "PAE";
    case PagingMode::kLevel4: return "4-level";
    case PagingMode::kLevel5: return "5-level";
  }
  return "?";
}

Gpa root_of(const Controls& c, PagingMode mode) {
  switch (mode) {
    case PagingMode::kOff: return Gpa();
    case PagingMode::kLegacy32: return Gpa(c.cr3 & 0xffff'f000);
    case PagingMode::kPae: return Gpa(c.cr3 & 0xffff'ffe0);
    case PagingMode::kLevel4:
    case PagingMode::kLevel5: return Gpa(c.cr3 & 0x000f'ffff'ffff'f000);
  }
  return Gpa();
}

std::string to_string(Access access) {
  static constexpr absl::string_view kBy[] = {"user", "supervisor", "implicit"};
  static constexpr absl::string_view kOp[] = {"read", "write", "fetch"};
  return absl::StrCat(kBy[static_cast<int>(access.by())], " ", kOp[static_cast<int>(access.op())],
                      access.probe() ? " (probe)" : "");
}

}  // namespace gnomon

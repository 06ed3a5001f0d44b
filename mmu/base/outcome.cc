// SPDX-License-Identifier: Apache-2.0
#include "gnomon/base/outcome.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon {

absl::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kTranslated: return "translated";
    case Outcome::kGuestFault: return "guest fault";
    case Outcome::kHostViolation: return "host violation";
    case Outcome::kNotBacked: return "not backed";
  }
  return "?";
}

absl::string_view name_of(HostCause cause) {
  switch (cause) {
    case HostCause::kNone: return "none";
    case HostCause::kMmio: return "mmio";
    case HostCause::kBallooned: return "ballooned";
    case HostCause::kReadOnly: return "read-only";
    case HostCause::kNoMemory: return "no host memory";
  }
  return "?";
}

std::string to_string(const Translation& t) {
  std::string text(name_of(t.outcome).data(), name_of(t.outcome).size());
  switch (t.outcome) {
    case Outcome::kTranslated:
      absl::StrAppendFormat(&text, " %s %s %s %c%c%c key %d%s%s%s%s", to_string(t.gpa),
                            to_string(t.hpa), name_of(t.size), t.rights & kRightWrite ? 'w' : '-',
                            t.rights & kRightUser ? 'u' : '-', t.rights & kRightExec ? 'x' : '-',
                            t.key, t.global ? " global" : "", t.dirty ? " dirty" : "", t.cacheable ? "" : " uncached",
                            t.trapped ? " trapped" : "");
      break;
    case Outcome::kGuestFault:
      absl::StrAppendFormat(&text, " level %d error 0x%x", t.level, t.error_code);
      break;
    case Outcome::kHostViolation:
    case Outcome::kNotBacked:
      absl::StrAppendFormat(&text, " level %d %s %s", t.level, to_string(t.gpa), name_of(t.cause));
      break;
  }
  return text;
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include <sys/utsname.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gnomon/traces/recorder.h"
#include "traces/record/locate.h"

namespace gnomon {
namespace {

// "valgrind-3.19.0"; empty if there is none.
std::string valgrind_version() {
  if (!recording::find_valgrind().ok()) return "";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen("valgrind --version 2>/dev/null", "re"),
                                                   pclose);
  if (!pipe) return "";
  char line[128];
  if (fgets(line, sizeof line, pipe.get()) == nullptr) return "";
  return std::string(absl::StripAsciiWhitespace(line));
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!absl::StartsWith(line, "model name")) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) break;
    return std::string(absl::StripAsciiWhitespace(absl::string_view(line).substr(colon + 1)));
  }
  return "unknown processor";
}

std::string system_name() {
  utsname names;
  if (uname(&names) != 0) return "unknown system";
  return absl::StrCat(names.sysname, " ", names.release, " ", names.machine);
}

}  // namespace

TraceInfo describe_recording(const RecordOptions& options) {
  const std::string version = valgrind_version();
  TraceInfo info;
  info.program = absl::StrJoin(options.command, " ");
  info.recorder = absl::StrCat("gnomon record", version.empty() ? "" : " with ", version);
  info.machine = absl::StrCat(processor(), ", ", system_name());
  info.note = absl::StrCat("every instruction, load and store of the program",
                           options.follow_children ? " and its children" : "",
                           ", under valgrind's layout of the address space");
  if (options.limit != 0) absl::StrAppend(&info.note, ", at most ", options.limit, " references");
  return info;
}

}  // namespace gnomon

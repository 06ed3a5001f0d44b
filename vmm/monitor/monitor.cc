// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/monitor.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vmm/monitor/context.h"

namespace gnomon::vmm {
namespace {

std::string run_one(MonitorContext& context, absl::string_view line) {
  const absl::string_view whole = line;
  absl::string_view name = take_word(line);
  if (name.empty()) return "";
  // `x/4i` is `x /4i`.
  if (const size_t slash = name.find('/'); slash != absl::string_view::npos) {
    name = name.substr(0, slash);
    line = absl::StripAsciiWhitespace(whole.substr(whole.find('/')));
  }
  for (const MonitorCommand& c : monitor_commands()) {
    if (name != c.name && (c.alias.empty() || name != c.alias)) continue;
    auto answer = c.run(context, line);
    return answer.ok() ? *std::move(answer) : absl::StrCat(answer.status().message(), "\n");
  }
  return absl::StrCat("unknown command \"", absl::CHexEscape(name.substr(0, 40)),
                      "\"; help lists what there is\n");
}

}  // namespace

Monitor::Monitor(Machine& machine) : context_(std::make_unique<MonitorContext>(machine)) {}
Monitor::~Monitor() = default;

unsigned Monitor::cpu() const { return context_->cpu; }
void Monitor::set_cpu(unsigned number) {
  if (number < context_->machine.cpus()) context_->cpu = number;
}

MonitorAnswer Monitor::run(absl::string_view line) {
  MonitorAnswer answer;
  context_->then = MonitorAnswer::Then::kStay;
  context_->end.reset();
  for (const absl::string_view part : absl::StrSplit(line, absl::ByAnyChar(";\n"))) {
    answer.text += run_one(*context_, part);
    if (context_->then != MonitorAnswer::Then::kStay) break;
  }
  answer.then = context_->then;
  answer.end = context_->end;
  return answer;
}

}  // namespace gnomon::vmm

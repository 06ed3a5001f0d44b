// SPDX-License-Identifier: Apache-2.0
#include "tools/words.h"

#include "absl/strings/str_cat.h"
#include "gnomon/backend.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/cost/model.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/generators.h"
#include "gnomon/vmm/board.h"
#include "gnomon/vmm/loader.h"
#include "tools/options.h"
#include "tools/replay_plan.h"
#include "tools/replay_report.h"

namespace gnomon::tools {
namespace {

template <class Rows>
std::vector<std::string> names_of(const Rows& rows, absl::string_view suffix = "") {
  std::vector<std::string> names;
  for (const auto& row : rows) names.push_back(absl::StrCat(row.name, suffix));
  return names;
}

std::vector<std::string> with(std::vector<std::string> words, absl::string_view more) {
  words.emplace_back(more);
  return words;
}

}  // namespace

std::vector<std::string> verb_words() {
  std::vector<std::string> names;
  for (const Verb* verb : verbs()) names.emplace_back(verb->name);
  return names;
}

std::vector<std::string> backend_words() { return names_of(backends()); }
std::vector<std::string> board_words() { return names_of(vmm::boards()); }
std::vector<std::string> loader_words() { return names_of(vmm::loaders()); }
std::vector<std::string> tlb_words() { return names_of(tlb_presets()); }
std::vector<std::string> cache_words() { return with(names_of(cache_presets()), "auto"); }
std::vector<std::string> cost_words() { return names_of(cost_presets()); }
std::vector<std::string> price_words() { return names_of(price_table(), "="); }
std::vector<std::string> pattern_words() { return names_of(generators()); }
std::vector<std::string> format_words() { return names_of(trace_formats()); }
std::vector<std::string> page_words() { return {"4K", "2M", "1G"}; }
std::vector<std::string> gdb_register_words() { return {"auto", "i386", "x86-64"}; }
std::vector<std::string> shell_words() { return {"bash", "zsh", "fish"}; }
std::vector<std::string> action_words() { return {"show"}; }

std::vector<std::string> output_words() {
  std::vector<std::string> names;
  for (const TraceFormat& format : trace_formats()) {
    if (format.write != nullptr) names.emplace_back(format.name);
  }
  return names;
}

std::vector<std::string> guest_words() {
  std::vector<std::string> words;
  for (const auto& [key, value] : guest_settings({})) words.push_back(absl::StrCat(key, "="));
  return words;
}

std::vector<std::string> sweep_words() {
  std::vector<std::string> words;
  for (const absl::string_view key : sweep_keys(compare_options())) {
    words.push_back(absl::StrCat(key, "="));
  }
  for (const std::string& key : guest_words()) words.push_back(absl::StrCat("guest.", key));
  for (const std::string& key : price_words()) words.push_back(absl::StrCat("price.", key));
  return words;
}

}  // namespace gnomon::tools

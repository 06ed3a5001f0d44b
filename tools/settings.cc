// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "tools/json_text.h"
#include "tools/replay_report.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::string_view kThp[] = {"never", "madvise", "always"};  // by HugePages
constexpr absl::string_view kPlacement[] = {"sequential", "random", "fragmented"};  // by FramePlacement

std::string on_off(bool on) { return on ? "on" : "off"; }

Json guest_to_json(const GuestOptions& guest) {
  return {{"thp", std::string(kThp[static_cast<size_t>(guest.thp)])},
          {"placement", std::string(kPlacement[static_cast<size_t>(guest.placement)])},
          {"fragmented_percent", guest.fragmented_percent},
          {"fault_around_bytes", guest.fault_around_bytes},
          {"kernel_entries", on_off(guest.kernel_entries)},
          {"kernel_large", on_off(guest.kernel_large)},
          {"pcid", on_off(guest.pcid)},
          {"clear_on_exit", on_off(guest.clear_on_exit)},
          {"max_processes", guest.max_processes},
          {"max_mappings", guest.max_mappings},
          {"seed", guest.seed}};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> guest_settings(const GuestOptions& guest) {
  std::vector<std::pair<std::string, std::string>> settings;
  const Json document = guest_to_json(guest);
  for (const auto& [key, value] : document.items()) settings.emplace_back(key, setting_text(value));
  return settings;
}

Json settings_to_json(const ReplaySetup& setup) {
  const MachineOptions& m = setup.machine;
  Json prices = Json::object();
  for (const PriceInfo& row : price_table()) {
    if (setup.cost.sources[static_cast<size_t>(row.id)] == "given") {
      prices[std::string(row.name)] = setup.cost[row.id];
    }
  }
  return {{"tlb", m.tlb},
          {"caches", m.caches},
          {"cost", setup.cost.name},
          {"price", std::move(prices)},
          {"mem", m.guest.memory_bytes},
          {"host-page", std::string(name_of(m.host_page))},
          {"vcpus", m.vcpus},
          {"guest", guest_to_json(m.guest)},
          {"tick", m.tick},
          {"copies", setup.copies},
          {"slice", setup.slice},
          {"skip", setup.skip},
          {"warmup", setup.warmup},
          {"limit", setup.limit},
          {"roi", setup.roi},
          {"format", setup.format},
          {"lenient", setup.mode == ReadMode::kLenient}};
}

}  // namespace gnomon::tools

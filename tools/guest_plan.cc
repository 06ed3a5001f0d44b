// SPDX-License-Identifier: Apache-2.0
//
// A plan of which a guest's image takes the place of traces: --guest IMAGE.
#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/replay_plan.h"
#include "tools/run_machine.h"

namespace gnomon::tools {
namespace {

constexpr uint64_t kUsualMemory = 64u << 20;

/// Options that are of traces, or of the modelled kernel.
constexpr absl::string_view kNotOfImages[] = {
    "--copies", "--slice",   "--skip", "--warmup",       "--roi",         "--each",
    "--format", "--lenient", "--tick", "--export-trace", "--export-guest"};

absl::Status not_with_image(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": not with --guest IMAGE"));
}

}  // namespace

std::vector<std::string> images_of(const Arguments& arguments) {
  // Beside traces it can only be settings that lack a value.
  if (arguments.find("TRACE") == nullptr || arguments.given("TRACE")) return {};
  std::vector<std::string> images;
  for (std::string& value : arguments.all("--guest")) {
    if (!value.empty() && !absl::StrContains(value, '=')) images.push_back(std::move(value));
  }
  return images;
}

absl::Status check_image_options(const Arguments& arguments, absl::Span<const SweepAxis> axes) {
  if (images_of(arguments).empty()) return absl::OkStatus();
  for (const absl::string_view option : kNotOfImages) {
    if (arguments.given(option)) return not_with_image(option);
  }
  for (const std::string& value : arguments.all("--guest")) {
    if (absl::StrContains(value, '=')) return not_with_image(absl::StrCat("--guest ", value));
  }
  for (const SweepAxis& axis : axes) {
    if (absl::StartsWith(axis.key, "guest.") ||
        absl::c_linear_search(kNotOfImages, absl::StrCat("--", axis.key))) {
      return not_with_image(absl::StrCat("--sweep ", axis.key));
    }
  }
  return absl::OkStatus();
}

absl::Status plan_image(const Arguments& arguments, ReplayPlan& plan) {
  const std::vector<std::string> images = images_of(arguments);
  if (images.empty()) {
    for (const absl::string_view option : {"--append", "--module", "--disk"}) {
      if (arguments.given(option))
        return absl::InvalidArgumentError(absl::StrCat(option, ": only with --guest IMAGE"));
    }
    return plan.setup.traces.empty() ? absl::InvalidArgumentError("TRACE is missing")
                                     : absl::OkStatus();
  }
  plan.guest_name = images.front();
  for (const std::string& image : images) {
    if (image != plan.guest_name) return absl::InvalidArgumentError("--guest: two images");
  }
  MachineOptions& modelled = plan.setup.machine;
  if (!arguments.given("--mem")) modelled.guest.memory_bytes = kUsualMemory;
  vmm::MachineOptions m;
  m.board.cpus = modelled.vcpus;
  m.host_page = modelled.host_page;
  m.tlb = modelled.tlb;
  m.caches = modelled.caches;
  absl::StatusOr<vmm::MachineOptions> whole =
      with_image(arguments, plan.guest_name, modelled.guest.memory_bytes, std::move(m));
  if (!whole.ok()) return whole.status();
  plan.guest = std::make_shared<const vmm::MachineOptions>(*std::move(whole));
  if (!plan.guest->load.command_line.empty())
    absl::StrAppend(&plan.guest_name, " ", plan.guest->load.command_line);
  return absl::OkStatus();
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
#include "tests/real_guests/kernels.h"

#include <gtest/gtest.h>

#include "tests/support/scale.h"

namespace gnomon::vmm::real_guests {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GNOMON_SLOW_BUILD
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GNOMON_SLOW_BUILD
#endif

std::string reason_to_skip() {
#ifdef GNOMON_SLOW_BUILD
  return "a kernel takes minutes to boot under a sanitizer";
#else
  return small_scale() ? "GNOMON_TEST_SCALE is small" : "";
#endif
}

std::unique_ptr<RealGuest> start(MachineOptions options) {
  auto guest = std::make_unique<RealGuest>();
  options.board.console_output = [g = guest.get()](absl::string_view bytes) {
    g->console.append(bytes.data(), bytes.size());
  };
  auto machine = Machine::create(options);
  EXPECT_TRUE(machine.ok()) << machine.status();
  if (machine.ok()) guest->machine = *std::move(machine);
  return guest;
}

}  // namespace gnomon::vmm::real_guests

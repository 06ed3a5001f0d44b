// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TESTS_MEMORY_P2M_FIXTURE_H_
#define GNOMON_TESTS_MEMORY_P2M_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gnomon/memory/p2m.h"
#include "gtest/gtest.h"

namespace gnomon {

/// A p2m on a host of a chosen size, verbs on it, and a listener that writes down what it is told
/// as text: "moved 0x200+512" (first frame, count).
class P2mTest : public testing::Test, public P2mListener {
 protected:
  P2mTest() { start(16_MiB); }

  void start(uint64_t host_bytes) {
    p2m.reset();
    host = *HostMemory::create(host_bytes);
    p2m = std::make_unique<P2m>(*host);
    p2m->add_listener(this);
    told.clear();
  }

  void before_p2m_change(Gpa first, uint64_t frames, Change change) override {
    static constexpr const char* kNames[] = {"removed", "moved", "write-protected", "appeared"};
    told.push_back(
        absl::StrFormat("%s 0x%x+%d", kNames[static_cast<int>(change)], first.frame(), frames));
    seen.push_back(p2m->lookup(first));
  }
  /// What the listener was told since the last call.
  std::vector<std::string> what_was_told() {
    seen.clear();
    return std::exchange(told, {});
  }

  static SlotOptions options(PageSize backing) {
    SlotOptions o;
    o.backing = backing;
    return o;
  }
  void add_slot(uint64_t base, uint64_t bytes, const SlotOptions& o = {}) {
    ASSERT_EQ(p2m->add_slot(Gpa(base), bytes, o), absl::OkStatus());
    what_was_told();
  }
  P2mEntry look(uint64_t gpa) const { return p2m->lookup(Gpa(gpa)); }
  FrameState state(uint64_t gpa) const { return look(gpa).state(); }
  P2mEntry back(uint64_t gpa) { return p2m->back(Gpa(gpa)); }

  void store(uint64_t gpa, uint64_t value) {
    ASSERT_TRUE(back(gpa).is_ram());
    *reinterpret_cast<uint64_t*>(p2m->ram_at(Gpa(gpa))) = value;
  }
  uint64_t load(uint64_t gpa) const {
    return *reinterpret_cast<const uint64_t*>(p2m->ram_at(Gpa(gpa)));
  }

  /// Leaves the host with `frames` free 4K frames and no free 2M block (if fewer than 512).
  void fill_host(uint64_t frames = 0) {
    while (host->free_bytes() > frames * 4_KiB) {
      if (host->free_bytes() >= (frames + 512) * 4_KiB &&
          host->allocate(FrameOwner::kVmm, PageSize::k2M)) {
        continue;
      }
      ASSERT_TRUE(host->allocate(FrameOwner::kVmm));
    }
  }

  std::unique_ptr<HostMemory> host;
  std::unique_ptr<P2m> p2m;
  std::vector<std::string> told;
  std::vector<P2mEntry> seen;  // the first named frame's entry, as it was at that moment
};

/// EXPECT_THAT(status, IsError(absl::StatusCode::kNotFound, "gpa:0x1000"))
MATCHER_P2(IsError, code, text, "") {
  *result_listener << arg;
  return arg.code() == code && arg.message().find(text) != absl::string_view::npos;
}

}  // namespace gnomon

#endif  // GNOMON_TESTS_MEMORY_P2M_FIXTURE_H_

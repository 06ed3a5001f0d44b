// SPDX-License-Identifier: Apache-2.0
//
// What cannot be replayed ends in one clear message.
#include "absl/strings/str_cat.h"
#include "tests/replay/support.h"

namespace gnomon::replay_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

absl::Status status_of(const ReplaySetup& setup, const std::string& backend = "native") {
  return replay(setup, std::vector<std::string>{backend}).status();
}

void expect_error(const absl::Status& s, absl::StatusCode code,
                  const testing::Matcher<std::string>& text) {
  EXPECT_EQ(s.code(), code) << s;
  EXPECT_THAT(std::string(s.message()), text);
  EXPECT_EQ(s.message().find('\n'), absl::string_view::npos) << s;
}

TEST(Errors, GuestMemoryThatIsTooSmall) {
  Script s;
  s.stores(0x10000000, 1024 * kPage);
  const TemporaryFile file(s);
  for (const std::string& backend : all_backends()) {
    SCOPED_TRACE(backend);
    ReplaySetup setup = small_setup({file.path()});
    setup.machine.guest.kernel_entries = false;
    setup.machine.guest.memory_bytes = 2 << 20;
    expect_error(status_of(setup, backend), absl::StatusCode::kResourceExhausted,
                 AllOf(HasSubstr(file.path()), HasSubstr("(reference "),
                       HasSubstr("guest memory is full: 511 of 512 frames are in use")));
    setup.machine.guest.memory_bytes = 3 * kPage;
    EXPECT_EQ(status_of(setup, backend).code(), absl::StatusCode::kResourceExhausted);
    setup.machine.guest.memory_bytes = 0;
    EXPECT_FALSE(status_of(setup, backend).ok());
  }
}

TEST(Errors, ForkBombsEnd) {
  Script s;
  s.map(0x10000000, 16 * kPage, kRw).stores(0x10000000, 16 * kPage);
  for (uint32_t child = 1; child < 20'000; ++child) s.fork(child);
  const TemporaryFile file(s);
  ReplaySetup setup = small_setup({file.path()});
  setup.machine.guest.memory_bytes = 16 << 20;
  expect_error(status_of(setup), absl::StatusCode::kResourceExhausted,
               AllOf(HasSubstr(file.path()), HasSubstr("fork: guest memory is full")));
  setup.machine.guest.max_processes = 100;
  setup.machine.guest.memory_bytes = 256 << 20;
  expect_error(status_of(setup), absl::StatusCode::kResourceExhausted,
               AllOf(HasSubstr(file.path()), HasSubstr("fork: "), HasSubstr("100 processes")));
}

TEST(Errors, EventsThatCannotBe) {
  const uint64_t kHuge60 = uint64_t{1} << 60;
  const std::pair<Script, const char*> kAll[] = {
      {Script().map(0x10000, kHuge60, kRw), "map: "},
      {Script().map(0x10000, ~uint64_t{0}, kRw), "map: "},
      {Script().map(0xffff'8000'0000'0000, kPage, kRw), "map: "},
      {Script().unmap(0x10000, 0), "unmap: the length is 0"},
      {Script().unmap(~uint64_t{0} - 10, 100), "unmap: "},
      {Script().protect(0x10000, kHuge60, kRw), "protect: "},
      {Script().remap(0x10000, kPage, kHuge60, kPage), "remap: "},
      {Script().kernel_write(kHuge60, 8), "kernel_write: "},
      {Script().kernel_read(0x1000, ~uint64_t{0}), "kernel_read: "},
      {Script().fork(0), "fork: "},
      {Script().plain(EventKind::kCr3, 0, 0, 0x1000), "cr3: not an event of a process"},
      {Script().plain(EventKind::kTableWrite, 0, 0), "table_write: not an event of a process"},
  };
  for (const auto& [events, text] : kAll) {
    Script s;
    s.load(0x1000);
    for (const TraceEvent& e : events.batch().events) s.event(e);
    s.load(0x2000);
    const TemporaryFile file(s);
    for (const char* backend : {"native", "shadow"}) {
      expect_error(
          status_of(small_setup({file.path()}), backend), absl::StatusCode::kInvalidArgument,
          AllOf(HasSubstr(file.path()), HasSubstr(": record 2 (before reference 2): "), HasSubstr(text)));
    }
  }
}

TEST(Errors, AddressesOfTheKernel) {
  for (const uint64_t va :
       {uint64_t{0xffff'8880'0000'0000}, uint64_t{1} << 47, uint64_t{1} << 62, ~uint64_t{0}}) {
    Script s;
    s.store(va, 1);
    const TemporaryFile file(s);
    expect_error(status_of(small_setup({file.path()})), absl::StatusCode::kInvalidArgument,
                 HasSubstr("not a user address"));
  }
}

TEST(Errors, SetupsThatCannotBe) {
  const std::string spec = "gen:uniform,refs=100,bytes=1M";
  const ReplaySetup good = small_setup({spec});
  EXPECT_TRUE(status_of(good).ok());
  expect_error(status_of(good, "magic"), absl::StatusCode::kInvalidArgument,
               HasSubstr("unknown backend \"magic\""));
  expect_error(status_of(good, "shadow:unsync=perhaps"), absl::StatusCode::kInvalidArgument,
               HasSubstr("unsync"));
  ReplaySetup bad = good;
  bad.machine.tlb = "leaky";
  expect_error(status_of(bad), absl::StatusCode::kInvalidArgument, HasSubstr("leaky"));
  bad = good;
  bad.machine.caches = "leaky";
  expect_error(status_of(bad), absl::StatusCode::kInvalidArgument, HasSubstr("leaky"));
  for (const unsigned vcpus : {0u, 65u, ~0u}) {
    bad = good;
    bad.machine.vcpus = vcpus;
    expect_error(status_of(bad), absl::StatusCode::kInvalidArgument,
                 HasSubstr("a machine has 1 to 64"));
  }
  bad = good;
  bad.traces = {"-"};
  bad.copies = 2;
  expect_error(status_of(bad), absl::StatusCode::kInvalidArgument,
               HasSubstr("standard input can be read only once"));
  bad.traces = {"/no/such/file"};
  expect_error(status_of(bad), absl::StatusCode::kNotFound, HasSubstr("/no/such/file"));
  bad.traces = {"gen:nothing"};
  expect_error(status_of(bad), absl::StatusCode::kInvalidArgument, HasSubstr("nothing"));
  bad.traces = {};
  expect_error(status_of(bad), absl::StatusCode::kInvalidArgument, HasSubstr("nothing to replay"));
  EXPECT_EQ(replay(good, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Errors, StopEndsEarlyWithWhatWasRun) {
  ReplayProgress progress;
  progress.stop = true;
  const auto r = replay(small_setup({"gen:uniform,refs=100000,bytes=1M"}),
                        std::vector<std::string>{"native"}, &progress);
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_EQ(r->references[0], 0u);
  progress.stop = false;
  ASSERT_TRUE(replay(small_setup({"gen:uniform,refs=5000,bytes=1M"}),
                     std::vector<std::string>{"native"}, &progress)
                  .ok());
  EXPECT_EQ(progress.references, 5000u);
  EXPECT_EQ(progress.total_references, 5000u);
}

}  // namespace
}  // namespace gnomon::replay_test

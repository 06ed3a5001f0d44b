// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_REPLAY_SUPPORT_H_
#define TESTS_REPLAY_SUPPORT_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/replay/session.h"
#include "gnomon/traces/gtrace.h"
#include "gnomon/traces/record.h"
#include "gnomon/traces/trace_writer.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::replay_test {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kHuge = 2 << 20;
inline constexpr MapFlags kRw = kMapRead | kMapWrite;

/// A trace written by hand, from front to back.
class Script {
 public:
  Script& fetch(uint64_t va, uint16_t n = 4) { return record(va, n, RecordKind::kFetch); }
  Script& load(uint64_t va, uint16_t n = 8) { return record(va, n, RecordKind::kLoad); }
  Script& store(uint64_t va, uint16_t n = 8) { return record(va, n, RecordKind::kStore); }
  Script& modify(uint64_t va, uint16_t n = 8) { return record(va, n, RecordKind::kModify); }
  Script& loads(uint64_t va, uint64_t bytes, uint64_t step = kPage);
  Script& stores(uint64_t va, uint64_t bytes, uint64_t step = kPage);

  Script& event(TraceEvent e);
  Script& run(uint32_t process, uint32_t thread = 0);
  Script& map(uint64_t va, uint64_t bytes, MapFlags flags, uint64_t file = 0, uint64_t offset = 0);
  Script& unmap(uint64_t va, uint64_t bytes) { return plain(EventKind::kUnmap, va, bytes); }
  Script& protect(uint64_t va, uint64_t bytes, MapFlags flags);
  Script& remap(uint64_t va, uint64_t bytes, uint64_t to, uint64_t to_bytes);
  Script& advise(uint64_t va, uint64_t bytes, uint64_t what);
  Script& grow_heap(uint64_t end) { return plain(EventKind::kBreak, end, 0); }
  Script& fork(uint32_t child) { return plain(EventKind::kFork, 0, 0, child); }
  Script& exec() { return plain(EventKind::kExec, 0, 0); }
  Script& exit();
  Script& syscall(uint64_t number) { return plain(EventKind::kSyscall, 0, 0, number); }
  Script& kernel_read(uint64_t va, uint64_t n) { return plain(EventKind::kKernelRead, va, n); }
  Script& kernel_write(uint64_t va, uint64_t n) { return plain(EventKind::kKernelWrite, va, n); }
  Script& mark(uint32_t flags);
  Script& plain(EventKind kind, uint64_t va, uint64_t bytes, uint64_t value = 0);

  const TraceBatch& batch() const { return batch_; }
  uint64_t references() const;
  /// By AccessOp.
  std::array<uint64_t, 3> by_op() const;

 private:
  Script& record(uint64_t va, uint16_t n, RecordKind kind) {
    batch_.records.push_back({Gva(va), n, kind, false});
    return *this;
  }
  TraceBatch batch_;
};

/// The bytes of a .gtrace with this in it.
std::string gtrace_of(const TraceBatch& batch, const TraceInfo& info = {});
/// What `write` of that format makes of it.
std::string written_as(absl::string_view format, const TraceBatch& batch);
/// Everything a trace holds; event records index into all events.
TraceBatch read_trace(const std::string& path);

/// A file with these bytes, or with a script's trace, that is gone when this goes.
class TemporaryFile : public test_support::TemporaryFile {
 public:
  using test_support::TemporaryFile::TemporaryFile;
  explicit TemporaryFile(const Script& script) : TemporaryFile(gtrace_of(script.batch())) {}
};

/// A small machine and a paravirtual guest's kernel, so that every backend can run it.
ReplaySetup small_setup(std::vector<std::string> traces);
/// All ways to virtualize memory, native first.
const std::vector<std::string>& all_backends();
/// replay(), which must succeed.
SessionResult replayed(const ReplaySetup& setup, const std::vector<std::string>& backends);
ReplayResult replayed_native(const ReplaySetup& setup);

/// Sound, and the same guest everywhere: memory, what its kernel did, what its processors were
/// told.
void expect_one_guest(const SessionResult& result);
/// Every counter but those in `but`.
void expect_same_counters(const Counters& a, const Counters& b,
                          const std::vector<Counter>& but = {});
void expect_same_guest_stats(const GuestStats& a, const GuestStats& b);

}  // namespace gnomon::replay_test

#endif  // TESTS_REPLAY_SUPPORT_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_DECODER_H_
#define GNOMON_TRACES_RECORD_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/record.h"
#include "traces/valgrind/gnomon_protocol.h"

namespace gnomon::recording {

/// By what number the tool knows the first process; it makes up those of all others.
inline constexpr uint64_t kFirstProcess = 1;

/// Turns the packets of all processes, as they arrive, into one trace: gives processes and threads
/// their numbers, and says so when another one runs. The bytes may be anything: the recorded
/// program can write into the tool's memory.
class Decoder {
 public:
  /// 0: no limit.
  explicit Decoder(uint64_t limit = 0) : limit_(limit) {}

  /// Decodes the whole packets at the front of `bytes`, appends to batch(), and returns their
  /// length. DataLoss, with the byte offset in the stream, at the first packet that makes no sense;
  /// what came before it is in the batch, and nothing must follow.
  absl::StatusOr<size_t> take(absl::Span<const char> bytes);
  /// Every process is gone: those that could not say so exit (status 137: killed).
  void finish();

  /// What was decoded since the caller last cleared it.
  TraceBatch& batch() { return batch_; }
  void clear_batch();

  uint64_t references() const { return references_; }
  uint64_t events() const { return events_; }
  uint32_t processes() const { return processes_seen_; }
  uint32_t threads() const { return threads_seen_; }
  uint32_t alive() const { return static_cast<uint32_t>(alive_.size()); }
  /// The next reference would be beyond the limit; packets are no longer looked at.
  bool limit_reached() const { return limit_reached_; }

 private:
  struct Process {
    uint32_t number = 0;
    uint32_t next_thread = 1;
    uint32_t sequence = 0;                            ///< of the next packet
    absl::flat_hash_map<uint32_t, uint32_t> threads;  ///< those alive: valgrind's number to ours
  };

  absl::Status take_packet(const gnomon_packet& packet, absl::Span<const char> body);
  absl::Status take_references(Process& process, uint32_t thread, absl::Span<const char> words);
  absl::Status take_event(const gnomon_packet& packet, absl::Span<const char> body);
  absl::Status take_event(const gnomon_packet& packet, const gnomon_event& event,
                          absl::string_view text);
  absl::Status begin(const gnomon_packet& packet, absl::string_view command);
  absl::Status fork(uint64_t parent, uint64_t child, bool told_by_child, uint32_t thread);
  absl::StatusOr<Process*> find(const gnomon_packet& packet);
  absl::StatusOr<uint32_t> thread_number(Process& process, uint32_t thread);
  void exit_process(uint64_t id, uint32_t thread, uint64_t status);
  void run(uint32_t process, uint32_t thread);
  void emit(TraceEvent event);
  absl::Status fault(absl::string_view what) const;

  const uint64_t limit_;
  bool limit_reached_ = false;
  TraceBatch batch_;
  uint64_t offset_ = 0;  ///< in the stream, of the packet at hand
  uint64_t references_ = 0;
  uint64_t events_ = 0;
  uint32_t processes_seen_ = 0;
  uint32_t threads_seen_ = 0;
  uint32_t running_process_ = 0;  ///< as the last kSwitch said
  uint32_t running_thread_ = 0;
  absl::flat_hash_map<uint64_t, Process> alive_;  ///< by the tool's number
  absl::flat_hash_set<uint64_t> told_;  ///< children whose parents have yet to tell of the fork
};

}  // namespace gnomon::recording

#endif  // GNOMON_TRACES_RECORD_DECODER_H_

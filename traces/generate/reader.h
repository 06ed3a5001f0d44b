// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_READER_H_
#define TRACES_GENERATE_READER_H_

#include <memory>
#include <string>
#include <vector>

#include "gnomon/traces/generators.h"
#include "gnomon/traces/trace_reader.h"
#include "traces/generate/keys.h"
#include "traces/generate/output.h"

namespace gnomon::generate {

/// What all patterns share. A pattern is a machine of its own that takes one step after another;
/// the stream is the same however it is cut into batches, because a step never looks at the room.
class GeneratorReader : public TraceReader {
 public:
  /// InvalidArgument: room for fewer than kLeastBatch records.
  absl::StatusOr<size_t> read(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) final;
  const TraceInfo& info() const final { return info_; }
  const ReadStats& stats() const final { return stats_; }
  absl::string_view name() const final { return name_; }
  std::optional<uint64_t> total_bytes() const final { return std::nullopt; }

 protected:
  GeneratorReader(const Keys& keys, const CommonKeys& common);

  /// Most records that a step may put out, except by Output::fill, which minds the room itself.
  static constexpr size_t kStepRecords = 64;
  /// Goes on a little. False when that was the end of the trace.
  virtual bool step(Output& out) = 0;

  /// The program's mapping event for its code, if there are fetches.
  void map_code(Output& out) const;
  void map_data(Output& out, uint64_t address, uint64_t bytes, absl::string_view what) const;
  static void unmap(Output& out, uint64_t address, uint64_t bytes);
  static void switch_to(Output& out, uint32_t process);
  static void exit(Output& out, uint32_t process);

  const CommonKeys common_;

 private:
  Output output_;
  bool ended_ = false;
  std::string name_;
  TraceInfo info_;
  ReadStats stats_;
};

// One function for each pattern, as in GeneratorInfo.
using Created = absl::StatusOr<std::unique_ptr<TraceReader>>;
Created create_uniform(absl::string_view options);
Created create_sequential(absl::string_view options);
Created create_stride(absl::string_view options);
Created create_zipf(absl::string_view options);
Created create_chase(absl::string_view options);
Created create_gups(absl::string_view options);
Created create_bfs(absl::string_view options);
Created create_churn(absl::string_view options);
Created create_fork(absl::string_view options);
Created create_switch(absl::string_view options);

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_READER_H_

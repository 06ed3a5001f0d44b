// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_GENERATORS_H_
#define GNOMON_TRACES_GENERATORS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/trace_reader.h"

namespace gnomon {

/// One synthetic pattern: docs/generators.md. Seeded, and the same stream on every platform.
struct GeneratorInfo {
  absl::string_view name;
  absl::string_view description;  ///< what it does: its keys with their defaults, but the common ones
  /// "KEY=VALUE,…", or empty for all defaults. InvalidArgument names the key and what it takes.
  absl::StatusOr<std::unique_ptr<TraceReader>> (*create)(absl::string_view options);
};

/// Keys that every pattern takes, with their defaults.
inline constexpr absl::string_view kCommonGeneratorKeys =
    "refs=10M seed=1 base=0x10000000000 fetches=off thp=off";

/// uniform, sequential, stride, zipf, chase, gups, bfs, churn, fork, switch.
absl::Span<const GeneratorInfo> generators();
/// "zipf,bytes=1G,refs=20M,seed=7": a pattern and its keys, with or without "gen:" before it. The reader's
/// info().program names all keys and gives the same stream again. InvalidArgument names what is known.
absl::StatusOr<std::unique_ptr<TraceReader>> create_generator(absl::string_view spec);

}  // namespace gnomon

#endif  // GNOMON_TRACES_GENERATORS_H_

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/generators.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "mmu/options.h"
#include "traces/generate/reader.h"

namespace gnomon {
namespace {

using namespace generate;

constexpr GeneratorInfo kGenerators[] = {
    {"uniform", "random places in one region, all equally likely: bytes=1G size=8 writes=0",
     create_uniform},
    {"sequential", "one place after the other: bytes=256M size=8 writes=0", create_sequential},
    {"stride", "places a fixed step apart: bytes=1G step=4K size=8 writes=0", create_stride},
    {"zipf",
     "random pages, few of them popular (theta is 100 times the exponent): bytes=256M law=zipf "
     "theta=99 scatter=on size=8 writes=0",
     create_zipf},
    {"chase", "a linked list in random order: bytes=256M step=64 size=8 writes=0", create_chase},
    {"gups", "read-modify-write of random 8-byte words: bytes=1G", create_gups},
    {"bfs", "breadth-first searches of a random graph: vertices=1M degree=16", create_bfs},
    {"churn",
     "mappings come, are touched and go: bytes=4M least=64K live=8 step=4K passes=1 size=8 "
     "writes=100",
     create_churn},
    {"fork",
     "a parent forks children that run briefly: bytes=4M touches=100 alive=1 exec=0 size=8 "
     "writes=50",
     create_fork},
    {"switch", "processes take turns: bytes=1M processes=4 slice=10K size=8 writes=0",
     create_switch},
};

}  // namespace

absl::Span<const GeneratorInfo> generators() { return kGenerators; }

absl::StatusOr<std::unique_ptr<TraceReader>> create_generator(absl::string_view spec) {
  absl::ConsumePrefix(&spec, "gen:");
  const size_t comma = spec.find(',');
  const absl::string_view name = spec.substr(0, comma);
  const absl::string_view options =
      comma == absl::string_view::npos ? absl::string_view() : spec.substr(comma + 1);
  std::vector<std::string> names;
  for (const GeneratorInfo& generator : kGenerators) {
    if (generator.name == name) return generator.create(options);
    names.emplace_back(generator.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("gen:", spec, ": no pattern is called \"", name, "\": ", suggest(name, names)));
}

}  // namespace gnomon

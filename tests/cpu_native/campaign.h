// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_CAMPAIGN_H_
#define TESTS_CPU_NATIVE_CAMPAIGN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/cpu_native/compare.h"
#include "tests/cpu_native/generator.h"
#include "tests/cpu_native/guest_runner.h"
#include "tests/native_cpu/host_runner.h"

namespace gnomon::vmm::native {

/// What a campaign has seen.
struct Tally {
  uint64_t snippets = 0;
  uint64_t cases = 0;         ///< a case is a snippet with one set of registers and memory
  uint64_t instructions = 0;  ///< executed on the host
  std::map<unsigned, uint64_t> faults;       ///< cases by vector
  std::map<std::string, uint64_t> executed;  ///< by mnemonic
  std::map<std::string, std::pair<uint64_t, std::string>>
      unbound;  ///< raise #UD in the interpreter alone: count and example
  uint64_t mismatches = 0;
  std::map<std::string, std::pair<uint64_t, std::string>>
      findings;  ///< count and first example, by mnemonics

  void add(const Tally& other);
};

/// Runs snippets on both processors. All that is random comes from `seed`.
class Campaign {
 public:
  Campaign(HostRunner& host, GuestRunner& guest, uint64_t seed);

  /// About so many cases, in groups with the same code. Stops early after many mismatches.
  void run(const GeneratorOptions& options, uint64_t cases);
  /// One snippet, with several inputs; with `show`, everything is told.
  void run_snippet(const Snippet& s, unsigned inputs, bool show);
  const Tally& tally() const { return tally_; }

 private:
  static constexpr unsigned kImages = 8, kFx = 64;

  struct Outcome {
    Result host, guest;
    uint32_t undefined = 0;
    bool equal = false;
    bool unbound = false;
  };
  void load(const Snippet& s);
  Outcome run_both(const Snippet& s, const Input& input, const Image& image);
  std::string memory_difference() const;
  void note(const Snippet& s, const Outcome& o);
  void report(Snippet s, Input input, const Image& image, const Outcome& o);
  void refresh();

  HostRunner& host_;
  GuestRunner& guest_;
  scenario::Random rng_;
  std::vector<Image> images_;
  std::vector<FxImage> fx_;
  std::vector<uint64_t> executed_;
  Tally tally_;
};

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_CAMPAIGN_H_

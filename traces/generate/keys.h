// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_KEYS_H_
#define TRACES_GENERATE_KEYS_H_

#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "mmu/options.h"

namespace gnomon::generate {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kCode = 0x400000;  ///< the page of the loop, with fetches=on
inline constexpr uint64_t kDefaultBase = uint64_t{1} << 40;
inline constexpr uint64_t kMostBytes = uint64_t{1} << 46;
inline constexpr uint64_t kUserEnd = 0x7ffffffff000;  ///< no page of a program lies here or above
inline constexpr uint64_t kMostReferences = 1'000'000'000'000'000;

/// The keys of one pattern. Each getter asks for one, as those of OptionList do, and notes its
/// value, so that `program` can name them all.
class Keys {
 public:
  /// `pattern` outlives the keys. Errors: those of OptionList::parse.
  static absl::StatusOr<Keys> parse(absl::string_view pattern, absl::string_view options);

  uint64_t number(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  uint64_t count(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  uint64_t bytes(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  uint64_t address(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  bool flag(absl::string_view key, bool otherwise);
  template <class T>
  T choice(absl::string_view key, T otherwise,
           std::type_identity_t<absl::Span<const OptionList::Choice<T>>> choices) {
    const T value = list_.get_enum<T>(key, otherwise, choices);
    for (const OptionList::Choice<T>& c : choices) {
      if (c.second == value) note(key, std::string(c.first));
    }
    return value;
  }

  /// The first bad value, an unknown key with those near it, or what `require` refused.
  absl::Status finish() const;
  /// A condition between keys, looked at when each has a good value by itself.
  void require(bool condition, absl::string_view otherwise);

  /// "gen:PATTERN,KEY=VALUE…" with every key asked for: the same stream again.
  const std::string& program() const { return program_; }
  /// As it was given.
  const std::string& name() const { return name_; }

 private:
  Keys(absl::string_view pattern, absl::string_view options, OptionList list);
  void note(absl::string_view key, absl::string_view value);

  OptionList list_;
  std::string name_, program_;
  absl::Status refused_;
};

/// Keys that all patterns take.
struct CommonKeys {
  uint64_t refs = 0;  ///< memory operations in all
  uint64_t seed = 0;
  uint64_t base = 0;     ///< where the data starts
  bool fetches = false;  ///< one instruction fetch before each access
  bool huge = false;     ///< the data asks for huge pages
};
CommonKeys common_keys(Keys& keys, uint64_t most_references = kMostReferences);

/// Keys about the accesses of patterns that choose places in a region.
struct AccessKeys {
  uint64_t size = 0;
  uint64_t writes = 0;  ///< percent
};
AccessKeys access_keys(Keys& keys, uint64_t writes = 0);

/// Requires that `bytes` from common.base are user addresses, and not those of the code.
void require_room(Keys& keys, const CommonKeys& common, uint64_t bytes);

constexpr uint64_t round_up(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_KEYS_H_

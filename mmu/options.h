// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_OPTIONS_H_
#define MMU_OPTIONS_H_

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "mmu/number.h"

namespace gnomon {

/// The options of a backend as text, "KEY=VALUE,KEY=VALUE". Each getter names a key that exists, and
/// the value it has when it is not given; `finish` then reports the first bad value, or a key that no
/// getter asked for:
///
///   absl::StatusOr<OptionList> list = OptionList::parse(text);
///   if (!list.ok()) return list.status();
///   options.ad = list->get_bool("ad", options.ad);
///   options.levels = list->get_uint("levels", options.levels, 4, 5);
///   if (absl::Status status = list->finish(); !status.ok()) return status;
class OptionList {
 public:
  template <class T>
  using Choice = std::pair<absl::string_view, T>;

  /// InvalidArgument: an item without "=", an empty key, or a key given twice. Empty text is no option.
  static absl::StatusOr<OptionList> parse(absl::string_view text);

  /// "on", "true", "yes", "1" and their opposites.
  bool get_bool(absl::string_view key, bool otherwise);
  /// A decimal or 0x number from `least` to `most`.
  uint64_t get_uint(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  /// As get_uint, with an optional suffix K, M, G or T: a number of bytes.
  uint64_t get_bytes(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  /// As get_uint, with an optional suffix K, M, G or T for thousands, millions and so on: a number of
  /// things.
  uint64_t get_count(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most);
  /// One of the named choices, in any letter case.
  template <class T>
  T get_enum(absl::string_view key, T otherwise,
             std::type_identity_t<absl::Span<const Choice<T>>> choices) {
    std::vector<absl::string_view> names;
    for (const Choice<T>& choice : choices) names.push_back(choice.first);
    const size_t i = choose(key, names);
    return i < choices.size() ? choices[i].second : otherwise;
  }

  /// The first bad value, or the first key nobody asked for with the known keys nearest to it.
  absl::Status finish() const;

 private:
  struct Item {
    std::string key, value;
    bool known = false;
  };

  const std::string* find(absl::string_view key);
  size_t choose(absl::string_view key, absl::Span<const absl::string_view> names);
  uint64_t get_number(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most,
                      NumberUnit unit);
  void bad_value(absl::string_view key, absl::string_view value, absl::string_view wanted);

  std::vector<Item> items_;
  std::vector<std::string> known_;
  absl::Status error_;
};

/// The words of `known` that look most like `word`, for error messages: "did you mean a or b?", or all
/// of them when none is near.
std::string suggest(absl::string_view word, absl::Span<const std::string> known);

}  // namespace gnomon

#endif  // MMU_OPTIONS_H_

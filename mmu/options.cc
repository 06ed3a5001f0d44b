// SPDX-License-Identifier: Apache-2.0
#include "mmu/options.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace gnomon {
namespace {

// Levenshtein distance, row by row.
size_t edit_distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggest(absl::string_view word, absl::Span<const std::string> known) {
  if (known.empty()) return "there are none";
  std::vector<absl::string_view> near;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& k : known) {
    const size_t distance = edit_distance(word, k);
    if (distance > least || distance >= std::max(word.size(), k.size())) continue;
    if (distance < least) near.clear();
    least = distance;
    near.push_back(k);
  }
  if (near.empty()) return absl::StrCat("known: ", absl::StrJoin(known, ", "));
  return absl::StrCat("did you mean ", absl::StrJoin(near, " or "), "?");
}

absl::StatusOr<OptionList> OptionList::parse(absl::string_view text) {
  OptionList list;
  if (text.empty()) return list;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const size_t equals = item.find('=');
    if (equals == absl::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrFormat("option \"%s\" is not of the form KEY=VALUE", item));
    }
    const absl::string_view key = item.substr(0, equals);
    for (const Item& other : list.items_) {
      if (other.key == key) {
        return absl::InvalidArgumentError(absl::StrFormat("option \"%s\" is given twice", key));
      }
    }
    list.items_.push_back({std::string(key), std::string(item.substr(equals + 1))});
  }
  return list;
}

const std::string* OptionList::find(absl::string_view key) {
  known_.emplace_back(key);
  for (Item& item : items_) {
    if (item.key != key) continue;
    item.known = true;
    return &item.value;
  }
  return nullptr;
}

void OptionList::bad_value(absl::string_view key, absl::string_view value,
                           absl::string_view wanted) {
  error_.Update(absl::InvalidArgumentError(
      absl::StrFormat("option %s=%s: wants %s", key, value, wanted)));
}

size_t OptionList::choose(absl::string_view key, absl::Span<const absl::string_view> names) {
  const std::string* value = find(key);
  if (value == nullptr) return names.size();
  for (size_t i = 0; i < names.size(); ++i) {
    if (absl::EqualsIgnoreCase(*value, names[i])) return i;
  }
  bad_value(key, *value, absl::StrJoin(names, ", "));
  return names.size();
}

bool OptionList::get_bool(absl::string_view key, bool otherwise) {
  return get_enum<bool>(key, otherwise,
                        {{{"on", true}, {"off", false}, {"true", true}, {"false", false},
                          {"yes", true}, {"no", false}, {"1", true}, {"0", false}}});
}

uint64_t OptionList::get_number(absl::string_view key, uint64_t otherwise, uint64_t least,
                                uint64_t most, NumberUnit unit) {
  const std::string* value = find(key);
  if (value == nullptr) return otherwise;
  const absl::StatusOr<uint64_t> number = parse_number(*value, unit);
  if (number.ok() && *number >= least && *number <= most) return *number;
  bad_value(key, *value,
            absl::StrFormat("a number from %d to %d%s", least, most,
                            unit == NumberUnit::kNone ? "" : " (with K, M, G or T if you like)"));
  return otherwise;
}

uint64_t OptionList::get_uint(absl::string_view key, uint64_t otherwise, uint64_t least,
                              uint64_t most) {
  return get_number(key, otherwise, least, most, NumberUnit::kNone);
}

uint64_t OptionList::get_bytes(absl::string_view key, uint64_t otherwise, uint64_t least,
                               uint64_t most) {
  return get_number(key, otherwise, least, most, NumberUnit::kBytes);
}

uint64_t OptionList::get_count(absl::string_view key, uint64_t otherwise, uint64_t least,
                               uint64_t most) {
  return get_number(key, otherwise, least, most, NumberUnit::kCount);
}

absl::Status OptionList::finish() const {
  if (!error_.ok()) return error_;
  for (const Item& item : items_) {
    if (item.known) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("unknown option \"%s\": %s", item.key, suggest(item.key, known_)));
  }
  return absl::OkStatus();
}

}  // namespace gnomon

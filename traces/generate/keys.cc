// SPDX-License-Identifier: Apache-2.0
#include "traces/generate/keys.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::generate {

Keys::Keys(absl::string_view pattern, absl::string_view options, OptionList list)
    : list_(std::move(list)),
      name_(absl::StrCat("gen:", pattern, options.empty() ? "" : ",", options)),
      program_(absl::StrCat("gen:", pattern)) {}

absl::StatusOr<Keys> Keys::parse(absl::string_view pattern, absl::string_view options) {
  absl::StatusOr<OptionList> list = OptionList::parse(options);
  if (!list.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("gen:", pattern, ",", options, ": ", list.status().message()));
  }
  return Keys(pattern, options, *std::move(list));
}

void Keys::note(absl::string_view key, absl::string_view value) {
  absl::StrAppend(&program_, ",", key, "=", value);
}

uint64_t Keys::number(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most) {
  const uint64_t value = list_.get_uint(key, otherwise, least, most);
  note(key, absl::StrCat(value));
  return value;
}

uint64_t Keys::count(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most) {
  const uint64_t value = list_.get_count(key, otherwise, least, most);
  note(key, absl::StrCat(value));
  return value;
}

uint64_t Keys::bytes(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most) {
  const uint64_t value = list_.get_bytes(key, otherwise, least, most);
  note(key, absl::StrCat(value));
  return value;
}

uint64_t Keys::address(absl::string_view key, uint64_t otherwise, uint64_t least, uint64_t most) {
  const uint64_t value = list_.get_bytes(key, otherwise, least, most);
  note(key, absl::StrFormat("0x%x", value));
  return value;
}

bool Keys::flag(absl::string_view key, bool otherwise) {
  const bool value = list_.get_bool(key, otherwise);
  note(key, value ? "on" : "off");
  return value;
}

void Keys::require(bool condition, absl::string_view otherwise) {
  if (!condition) refused_.Update(absl::InvalidArgumentError(otherwise));
}

absl::Status Keys::finish() const {
  absl::Status status = list_.finish();
  status.Update(refused_);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(name_, ": ", status.message()));
}

CommonKeys common_keys(Keys& keys, uint64_t most_references) {
  CommonKeys common;
  common.refs = keys.count("refs", 10'000'000, 1, most_references);
  common.seed = keys.number("seed", 1, 0, ~uint64_t{0});
  common.base = keys.address("base", kDefaultBase, 0x10000, kUserEnd - kPage);
  common.fetches = keys.flag("fetches", false);
  common.huge = keys.flag("thp", false);
  keys.require(common.base % kPage == 0, "base is not a multiple of 4096");
  return common;
}

AccessKeys access_keys(Keys& keys, uint64_t writes) {
  AccessKeys access;
  access.size = keys.bytes("size", 8, 1, kPage);
  access.writes = keys.number("writes", writes, 0, 100);
  return access;
}

void require_room(Keys& keys, const CommonKeys& common, uint64_t bytes) {
  const uint64_t end = common.base + round_up(bytes, kPage);
  keys.require(end <= kUserEnd, absl::StrFormat("base and sizes put data at 0x%x to 0x%x, but user "
                                                "addresses end at 0x%x",
                                                common.base, end, kUserEnd));
  keys.require(end <= kCode || common.base >= kCode + kPage,
               absl::StrFormat("data at 0x%x to 0x%x would cover the code page at 0x%x",
                               common.base, end, kCode));
}

}  // namespace gnomon::generate

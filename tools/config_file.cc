// SPDX-License-Identifier: Apache-2.0
//
// Settings in a file: the JSON that `gnomon config show --json` prints.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tools/json_text.h"
#include "tools/replay_plan.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;

absl::Status apply_value(Arguments& arguments, const std::string& key, const Json& value) {
  if (key == "roi" || key == "lenient") {
    if (!value.is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat("'", key, "' is neither true nor false"));
    }
    if (value.get<bool>()) arguments.set(absl::StrCat("--", key), "true");
    return absl::OkStatus();
  }
  if (!value.is_string() && !value.is_number() && !value.is_boolean()) {
    return absl::InvalidArgumentError(absl::StrCat("'", key, "' is neither text, number nor true or false"));
  }
  return apply_setting(arguments, key, setting_text(value));
}

absl::Status apply_entry(Arguments& arguments, const std::string& key, const Json& value) {
  if (key == "trace") return absl::InvalidArgumentError("traces are named on the command line");
  if (key != "guest" && key != "price") return apply_value(arguments, key, value);
  if (!value.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat("'", key, "' is not an object"));
  }
  for (const auto& [inner, v] : value.items()) {
    if (absl::Status s = apply_value(arguments, absl::StrCat(key, ".", inner), v); !s.ok())
      return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> contents_of(const std::string& path) {
  constexpr size_t kMostBytes = size_t{1} << 20;
  const auto failed = [&](absl::string_view what) {
    return absl::NotFoundError(
        absl::StrCat("--config: ", path, ": cannot ", what, ": ", strerror(errno)));
  };
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "rb"), fclose);
  if (file == nullptr) return failed("open");
  std::string text(kMostBytes + 1, '\0');
  text.resize(fread(text.data(), 1, text.size(), file.get()));
  if (ferror(file.get()) != 0) return failed("read");
  if (text.size() > kMostBytes) {
    return absl::InvalidArgumentError(absl::StrCat("--config: ", path, " is larger than 1 MiB"));
  }
  return text;
}

}  // namespace

absl::Status apply_config(Arguments& arguments) {
  const std::string path = arguments.text("--config");
  if (path.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> text = contents_of(path);
  if (!text.ok()) return text.status();
  const Json document = parse_json(*text);
  if (!document.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--config: ", path, " is not a JSON object; `gnomon config show --json` prints one"));
  }
  // What the command line gives stays; of lists, it comes last and so wins.
  const Arguments given = arguments;
  for (const auto& [key, value] : document.items()) {
    if (key == "schema") continue;
    const OptionSpec* option = arguments.find(key);
    if (option != nullptr && !value.is_object() && given.given(option->name)) continue;
    if (absl::Status s = apply_entry(arguments, key, value); !s.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--config: ", path, ": ", s.message()));
    }
  }
  for (const absl::string_view list : {"--guest", "--price"}) {
    if (!given.given(list)) continue;
    for (const std::string& value : given.all(list)) arguments.add(list, value);
  }
  return absl::OkStatus();
}

}  // namespace gnomon::tools

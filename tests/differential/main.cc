// SPDX-License-Identifier: Apache-2.0
//
// The differential tester: the GoogleTest program of this folder, and with --steps or FILE a tool
// of its own that runs as long as wanted.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "gtest/gtest.h"
#include "tests/scenario/generator.h"
#include "tests/scenario/suite.h"

namespace {

constexpr char kUsage[] =
    "usage: %s --steps N [--seed N] [--backend SPEC]... [--no-audit] [--keep-going] [--show]\n"
    "       %s --replay FILE [--backend SPEC]...\n"
    "       %s [GoogleTest options]\n"
    "  --steps N        run N random steps on each backend, and stop at the first difference\n"
    "  --seed N         seed of the first program (default 1)\n"
    "  --backend SPEC   name[:option=value,...]; may be given again (default: all of them)\n"
    "  --no-audit       do not ask the auditor after each step\n"
    "  --keep-going     look for failures of other kinds until the steps are done\n"
    "  --show           print the program of the seed instead of running it\n"
    "  --replay FILE    run a program from its text form\n";

struct Arguments {
  uint64_t steps = 0, seed = 1;
  std::vector<std::string> backends;
  std::string replay;
  gnomon::scenario::RunOptions options;
  bool show = false, keep_going = false;
};

bool parse(int argc, char** argv, Arguments& a) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (flag == "--no-audit") {
      a.options.audit = false;
      continue;
    }
    if (flag == "--keep-going") {
      a.keep_going = true;
      continue;
    }
    if (flag == "--show") {
      a.show = true;
      continue;
    }
    if (value == nullptr) return false;
    if (flag == "--steps") {
      if (!absl::SimpleAtoi(value, &a.steps)) return false;
    } else if (flag == "--seed") {
      if (!absl::SimpleAtoi(value, &a.seed)) return false;
    } else if (flag == "--backend") {
      a.backends.emplace_back(value);
    } else if (flag == "--replay") {
      a.replay = value;
    } else {
      return false;
    }
    ++i;
  }
  return true;
}

int replay(const Arguments& a) {
  namespace s = gnomon::scenario;
  std::ifstream in(a.replay);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const absl::StatusOr<s::Program> program = s::parse_program(text);
  if (!in.is_open() || !program.ok()) {
    std::fprintf(stderr, "%s: %s\n", a.replay.c_str(),
                 in.is_open() ? std::string(program.status().message()).c_str() : "cannot be read");
    return 2;
  }
  int code = 0;
  for (const std::string& spec : a.backends) {
    s::RunStats stats;
    const auto end = s::run(*program, spec, a.options, stats);
    if (!end.ok()) {
      std::printf("%s: skipped: %s\n", spec.c_str(), std::string(end.status().message()).c_str());
    } else if (end->has_value()) {
      std::printf("%s\n", s::report(*program, spec, a.options, **end).c_str());
      code = 1;
    } else {
      std::printf("%s: %llu steps, all as expected\n", spec.c_str(),
                  static_cast<unsigned long long>(stats.steps));
    }
  }
  return code;
}

// Failures with the same words are one kind, whatever their numbers.
std::string kind_of(const gnomon::scenario::Failure& failure) {
  const size_t line = failure.text.find('\n');
  std::string kind;
  for (const char c : failure.text.substr(line == std::string::npos ? 0 : line + 1)) {
    if (c == 'x' || (c >= '0' && c <= '9')) continue;
    if (kind.size() >= 60 || c == '(') break;
    kind += c;
  }
  return kind;
}

int run_steps(const Arguments& a) {
  namespace s = gnomon::scenario;
  int code = 0;
  for (const std::string& spec : a.backends) {
    std::set<std::string> kinds;
    uint64_t left = a.steps;
    uint64_t seed = a.seed;
    do {
      const s::SuiteResult result = s::run_random(spec, seed, left, a.options);
      if (!a.keep_going || !result.failure) std::printf("%s\n", s::summary(spec, result).c_str());
      if (!result.failure) break;
      if (kinds.insert(kind_of(*result.failure)).second) {
        std::printf("%s\n", s::report(spec, result, a.options).c_str());
      }
      std::fflush(stdout);
      code = 1;
      left -= std::min(left, result.stats.steps);
      seed = result.seed + 1;
    } while (a.keep_going && left != 0);
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  namespace s = gnomon::scenario;
  const absl::string_view first = argc > 1 ? argv[1] : "";
  if (first != "--steps" && first != "--replay" && first != "--seed" && first != "--show") {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
  }
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr, kUsage, argv[0], argv[0], argv[0]);
    return 2;
  }
  if (arguments.backends.empty()) {
    for (const absl::string_view spec : s::all_specs()) arguments.backends.emplace_back(spec);
  }
  if (arguments.show) {
    std::printf("%s", s::to_string(s::generate(arguments.seed, 400)).c_str());
    return 0;
  }
  return arguments.replay.empty() ? run_steps(arguments) : replay(arguments);
}

// SPDX-License-Identifier: Apache-2.0
//
// A main() for fuzz targets that are built without libFuzzer. It replays the files and folders
// given as arguments and, with --random, feeds pseudo-random inputs. Input i depends on the seed
// and on i alone, so a failing one is run again by itself with --index.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/scenario/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Sanitizer builds only; both serve to print which input it was. The first function is the
// sanitizer's: what it is given runs after the report. The undefined behaviour sanitizer reads the
// second, and ends in a signal that on_crash sees.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));
extern "C" const char* __ubsan_default_options();
extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1:abort_on_error=1"; }
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace {

using Bytes = std::vector<uint8_t>;

constexpr char kUsage[] =
    "usage: %s [--random N] [--seed S] [--index I] [--max-len BYTES] [FILE|DIR]...\n"
    "  --random N   feed N pseudo-random inputs after the files\n"
    "  --seed S     seed of the pseudo-random inputs (default 1)\n"
    "  --index I    feed only the I-th pseudo-random input of the seed\n"
    "  --max-len B  longest pseudo-random input (default 1024)\n";

using gnomon::scenario::Random;

// What the crash handler prints. Plain memory, since it runs in a signal handler.
char g_current[512] = "";

void print_current() {
  const size_t length = std::char_traits<char>::length(g_current);
  if (write(STDERR_FILENO, g_current, length) < 0) _exit(1);
}

void on_crash(int signal_number) {
  print_current();
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void run(const Bytes& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

// Purely random bytes rarely get past the first check of a parser, so runs of one byte, small
// values and pieces of the given files are mixed in.
Bytes random_input(uint64_t seed, uint64_t index, size_t max_length,
                   const std::vector<Bytes>& corpus) {
  Random random(seed ^ (index * 0xd1342543de82ef95));
  Bytes bytes;
  if (!corpus.empty() && random.below(2) == 0) {
    bytes = corpus[random.below(corpus.size())];
    const uint64_t changes = 1 + random.below(8);
    for (uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
      bytes[random.below(bytes.size())] = static_cast<uint8_t>(random.next());
    }
    if (!bytes.empty() && random.below(4) == 0) bytes.resize(random.below(bytes.size()));
    return bytes;
  }
  // Half of the lengths are below 64: short inputs reach more shapes per second.
  const size_t limit = random.below(2) == 0 ? std::min<size_t>(max_length, 64) : max_length;
  const size_t length = random.below(limit + 1);
  bytes.reserve(length);
  while (bytes.size() < length) {
    const uint64_t kind = random.below(4);
    const uint64_t value = random.next();
    const size_t count = std::min<size_t>(length - bytes.size(), 1 + random.below(8));
    for (size_t i = 0; i < count; ++i) {
      switch (kind) {
        case 0: bytes.push_back(static_cast<uint8_t>(value >> (8 * i))); break;
        case 1: bytes.push_back(static_cast<uint8_t>(value & 7)); break;
        case 2: bytes.push_back((value & 1) != 0 ? 0xff : 0x00); break;
        default: bytes.push_back(static_cast<uint8_t>(0x20 + (value >> (8 * i)) % 0x5f)); break;
      }
    }
  }
  return bytes;
}

std::optional<uint64_t> parse_number(const char* text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 0);
  if (*text < '0' || *text > '9' || *end != '\0') return std::nullopt;
  return value;
}

/// The files named by `path`, in a stable order; empty when it names none.
std::vector<std::filesystem::path> files_at(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path, error)) {
      if (entry.is_regular_file(error)) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
  } else if (std::filesystem::exists(path, error)) {
    files.push_back(path);
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t random_count = 0;
  uint64_t seed = 1;
  uint64_t max_length = 1024;
  std::optional<uint64_t> only_index;
  std::vector<std::filesystem::path> files;

  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help") {
      std::printf(kUsage, argv[0]);
      return 0;
    }
    if (argument.rfind("--", 0) == 0) {
      uint64_t* number = argument == "--random"    ? &random_count
                         : argument == "--seed"    ? &seed
                         : argument == "--index"   ? &only_index.emplace()
                         : argument == "--max-len" ? &max_length
                                                   : nullptr;
      if (number == nullptr) {
        std::fprintf(stderr, "unknown option %s\n", argument.c_str());
        std::fprintf(stderr, kUsage, argv[0]);
        return 2;
      }
      const auto value = i + 1 < argc ? parse_number(argv[++i]) : std::nullopt;
      if (!value) {
        std::fprintf(stderr, "%s wants a number\n", argument.c_str());
        return 2;
      }
      *number = *value;
      continue;
    }
    const auto found = files_at(argument);
    if (found.empty()) {
      std::fprintf(stderr, "no files at %s\n", argument.c_str());
      return 2;
    }
    files.insert(files.end(), found.begin(), found.end());
  }

  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(print_current);
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) {
    // A sanitizer that has put its own handler in place reports more than this one would.
    const auto previous = std::signal(signal_number, on_crash);
    if (previous != SIG_DFL) std::signal(signal_number, previous);
  }

  std::vector<Bytes> corpus;
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    Bytes bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (stream.bad() || !stream.is_open()) {
      std::fprintf(stderr, "cannot read %s\n", file.c_str());
      return 2;
    }
    std::snprintf(g_current, sizeof(g_current), "crash on file %s\n", file.c_str());
    if (!only_index) run(bytes);
    corpus.push_back(std::move(bytes));
  }

  const uint64_t first = only_index.value_or(0);
  const uint64_t last = only_index ? *only_index + 1 : random_count;
  for (uint64_t i = first; i < last; ++i) {
    const Bytes input = random_input(seed, i, max_length, corpus);
    std::snprintf(g_current, sizeof(g_current),
                  "crash on a random input; repeat it with --seed %llu --index %llu --max-len %llu "
                  "and the same files\n",
                  static_cast<unsigned long long>(seed), static_cast<unsigned long long>(i),
                  static_cast<unsigned long long>(max_length));
    run(input);
  }
  g_current[0] = '\0';
  std::printf("%zu files, %llu random inputs, seed %llu\n", only_index ? 0 : files.size(),
              static_cast<unsigned long long>(last - first), static_cast<unsigned long long>(seed));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "tools/run_machine.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gnomon/vmm/loader.h"
#include "tools/guest_files.h"
#include "tools/replay_plan.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

using vmm::MachineOptions;

constexpr uint64_t kLastPort = 65535;
constexpr uint64_t kLeastMemory = 2u << 20, kMostMemory = uint64_t{32} << 30;

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return a == b || (std::filesystem::equivalent(a, b, error) && !error);
}

/// A boot sector loads the rest from the disk that it lies on, so that disk is the first one,
/// unless it is named already.
void add_boot_disk(MachineOptions& m) {
  std::vector<std::string>& disks = m.board.disks;
  const auto is_image = [&](const std::string& disk) { return same_file(disk, m.load.image); };
  if (m.board.board != "pc" || !vmm::boots_as_disk(m.load) || absl::c_any_of(disks, is_image))
    return;
  disks.insert(disks.begin(), m.load.image);
}

absl::Status check_word(const Arguments& a, absl::string_view option,
                        const std::vector<std::string>& known) {
  const std::string word = a.text(option);
  if (word.empty() || absl::c_linear_search(known, word)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(option, ": '", word, "' is none of ", absl::StrJoin(known, ", ")));
}

/// A Multiboot module has words after its file.
std::string file_of_module(const std::string& module) {
  return access(module.c_str(), F_OK) == 0 ? module : module.substr(0, module.find(' '));
}

absl::Status check_files(const Arguments& a, absl::string_view option) {
  if (!a.given(option)) return absl::OkStatus();
  for (const std::string& file : a.all(option)) {
    const std::string name = option == "--module" ? file_of_module(file) : file;
    if (access(name.c_str(), R_OK) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": cannot open ", name));
    }
  }
  return absl::OkStatus();
}

/// So that the message names the option.
absl::Status check_values(const Arguments& a) {
  std::vector<std::string> tlbs = tlb_words();
  tlbs.emplace_back("off");
  for (const absl::Status& s :
       {check_word(a, "--format", loader_words()), check_word(a, "--board", board_words()),
        check_word(a, "--tlb", tlbs), check_backend_option("--mmu", a.text("--mmu")),
        check_word(a, "--gdb-registers", gdb_register_words()), check_files(a, "--input")}) {
    if (!s.ok()) return s;
  }
  if (a.given("--gdb")) {
    const auto port = a.count("--gdb");
    if (!port.ok()) return port.status();
    if (*port > kLastPort)
      return absl::InvalidArgumentError("--gdb: not a port number, 0 to 65535");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<vmm::MachineOptions> with_image(const Arguments& a, const std::string& word,
                                               uint64_t memory_bytes, vmm::MachineOptions m) {
  for (const absl::string_view option : {"--module", "--disk"}) {
    if (absl::Status s = check_files(a, option); !s.ok()) return s;
  }
  if (memory_bytes < kLeastMemory || memory_bytes > kMostMemory ||
      memory_bytes % kLeastMemory != 0) {
    return absl::InvalidArgumentError("--mem: not 2M to 32G in steps of 2M");
  }
  m.board.memory_bytes = memory_bytes;
  auto image = guest_image(word);
  if (!image.ok()) return image.status();
  m.load.image = *std::move(image);
  m.load.command_line = a.text("--append");
  if (a.given("--module")) m.load.modules = a.all("--module");
  if (a.given("--disk")) m.board.disks = a.all("--disk");
  add_boot_disk(m);
  return m;
}

std::vector<std::string> files_of(const vmm::MachineOptions& m) {
  std::vector<std::string> files = m.board.disks;
  files.push_back(m.load.image);
  for (const std::string& module : m.load.modules) files.push_back(file_of_module(module));
  return files;
}

absl::StatusOr<vmm::MachineOptions> parse_run_machine(const Arguments& a) {
  if (absl::Status s = check_values(a); !s.ok()) return s;
  vmm::MachineOptions m;
  m.load.format = a.text("--format");
  m.board.board = a.text("--board");
  m.board.write_disks = a.given("--write-disks");
  const auto memory = a.bytes("--mem");
  if (!memory.ok()) return memory.status();
  const auto cpus = a.count("--cpus");
  if (!cpus.ok()) return cpus.status();
  if (*cpus < 1 || *cpus > 64) return absl::InvalidArgumentError("--cpus: not between 1 and 64");
  m.board.cpus = static_cast<unsigned>(*cpus);
  m.backend = a.text("--mmu");
  m.tlb = a.text("--tlb");
  const auto page = host_page(a);
  if (!page.ok()) return page.status();
  m.host_page = *page;
  m.naive = a.given("--naive");
  m.audit = a.given("--audit");
  return with_image(a, a.text("IMAGE"), *memory, std::move(m));
}

}  // namespace gnomon::tools

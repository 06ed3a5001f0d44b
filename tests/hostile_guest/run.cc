// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "absl/strings/str_cat.h"
#include "tests/hostile_guest/guest.h"
#include "tests/support/temporary_directory.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm::hostile {
namespace {

/// Frames that belong to nobody whom the guest may reach.
class Guards {
 public:
  explicit Guards(HostMemory& host) : host_(host) {
    for (unsigned i = 0; i < kFrames; ++i) {
      const auto frame = host.allocate_scattered(FrameOwner::kVmm, i * 0x9e3779b97f4a7c15);
      if (!frame) break;
      frames_.push_back(*frame);
      auto* words = host.at<uint64_t>(*frame);
      for (uint64_t w = 0; w < kWords; ++w) words[w] = pattern(*frame, w);
    }
  }
  bool intact() const {
    for (const Hpa frame : frames_) {
      const auto* words = host_.at<uint64_t>(frame);
      for (uint64_t w = 0; w < kWords; ++w) {
        if (words[w] != pattern(frame, w)) return false;
      }
    }
    return frames_.size() == kFrames;
  }

 private:
  static constexpr unsigned kFrames = 64;
  static constexpr uint64_t kWords = 512;
  static uint64_t pattern(Hpa frame, uint64_t word) {
    return (frame.value() + word) * 0xd6e8feb86659fd93;
  }

  HostMemory& host_;
  std::vector<Hpa> frames_;
};

std::string some_image() {
  static const test_support::TemporaryFile file(std::string(16, '\xf4'));
  return file.path();
}

/// False: the processor does not take such a state.
bool place(const Guest& guest, Machine& machine) {
  for (const auto& [at, bytes] : guest.memory) {
    if (!machine.memory().write(Gpa(at), absl::MakeConstSpan(bytes))) return false;
  }
  Cpu& cpu = machine.cpu(0);
  const Controls& c = guest.controls;
  if (!cpu.memory.write_controls(0x11, 0, 0) || !cpu.memory.write_cr3(c.cr3)) return false;
  // PCIDs only come with long mode on.
  if (!cpu.memory.write_controls(c.cr0, c.cr4 & ~cr4::kPCIDE, c.efer)) return false;
  if ((c.cr4 & cr4::kPCIDE) != 0 && !cpu.memory.write_controls(c.cr0, c.cr4, cpu.controls().efer))
    return false;
  cpu.restore(guest.cpu);
  return true;
}

std::string check_end(const RunEnd& end) {
  switch (end.reason) {
    case RunEnd::Reason::kLimit:
    case RunEnd::Reason::kExit:
    case RunEnd::Reason::kReset:
    case RunEnd::Reason::kShutdown:
    case RunEnd::Reason::kHalted: return "";
    case RunEnd::Reason::kBroken:
    case RunEnd::Reason::kRefused:
    case RunEnd::Reason::kBreakpoint:
    case RunEnd::Reason::kHostFailed: break;
  }
  return absl::StrCat("an end that a guest cannot have: ", end.text);
}

}  // namespace

const std::vector<std::string>& backends() {
  static const std::vector<std::string> kAll = {"native",
                                                "shadow",
                                                "shadow:unsync=off",
                                                "shadow:directory=full-trap",
                                                "shadow:budget=256K,prefetch=64",
                                                "vtlb",
                                                "nested",
                                                "npt",
                                                "agile"};
  return kAll;
}

Result run(const Guest& guest, absl::string_view backend, uint64_t instructions, bool audit) {
  Result result;
  MachineOptions o;
  o.backend = std::string(backend);
  o.board.memory_bytes = 2u << 20;
  o.load.image = some_image();
  o.load.format = "raw";
  o.load.load_address = 0x7'0000;
  o.audit = audit;
  const auto made = Machine::create(o);
  if (!made.ok()) {
    result.wrong = made.status().ToString();
    return result;
  }
  Machine& machine = **made;
  const Guards guards(machine.p2m().host());
  if (!place(guest, machine)) return result;
  result.end = machine.run(instructions);
  result.wrong = check_end(result.end);
  for (const AuditFinding& f : machine.backend().audit()) {
    if (result.wrong.empty())
      result.wrong = absl::StrCat("invariant ", f.invariant, " is broken: ", f.text);
  }
  if (!guards.intact()) result.wrong = "memory changed that is not the guest's";
  result.trace_hash = machine.trace_hash();
  result.memory_hash = machine.memory_hash();
  result.instructions = machine.instructions();
  for (const ExitCount& e : machine.exit_counts()) {
    if (e.name == "control_register" && e.count != 0) result.wrote_controls = true;
  }
  return result;
}

}  // namespace gnomon::vmm::hostile

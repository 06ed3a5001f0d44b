// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TRAP_MACHINE_H_
#define TESTS_TRAP_MACHINE_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "gnomon/backend.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "vmm/cpu/interp.h"
#include "vmm/trap/descriptors.h"
#include "vmm/trap/trap.h"

namespace gnomon::vmm {

enum class Mode { kReal, k32, k64 };
constexpr absl::string_view name_of(Mode m) {
  return m == Mode::kReal ? "real" : m == Mode::k32 ? "32" : "64";
}

/// What became of an instruction, in one word: "done", "#GP(18)", "#UD", "halted", "shutdown".
std::string outcome_text(Emulated what, const Fault& fault);
std::string fault_text(uint8_t vector, std::optional<uint32_t> error = std::nullopt);

/// A board with an interrupt controller's registers and nothing else.
class EmptyBoard final : public Board {
 public:
  absl::string_view name() const override { return "empty"; }
  IoBus& ports() override { return ports_; }
  IoBus& device_memory() override { return memory_; }
  std::vector<MemoryRange> memory_map() const override { return {}; }
  absl::Status place_tables(GuestMemory&) override { return absl::OkStatus(); }
  bool interrupt_pending(unsigned) const override { return false; }
  std::optional<uint8_t> acknowledge_interrupt(unsigned) override { return std::nullopt; }
  void set_task_priority(unsigned, uint8_t cr8) override { priority = cr8; }
  uint8_t task_priority(unsigned) const override { return priority; }
  uint64_t apic_base(unsigned) const override { return base; }
  bool set_apic_base(unsigned, uint64_t value) override {
    if ((value & 0xff) != 0) return false;
    base = value;
    return true;
  }
  size_t console_input(absl::string_view) override { return 0; }
  std::vector<std::string> text_screen(const GuestMemory&) const override { return {}; }
  void reset() override {}

  uint8_t priority = 0;
  uint64_t base = 0xfee00900;

 private:
  IoBus ports_, memory_;
};

/// A processor with descriptor tables, whose instructions are emulated one by one. RAM is 4 MiB; in
/// 64-bit mode it is mapped at its own address for user and supervisor.
class TrapMachine : public DevicePort, public TrapEnvironment {
 public:
  static constexpr uint64_t kRam = 4u << 20;
  static constexpr uint64_t kGdt = 0x1000, kIdt = 0x2000, kTask = 0x4000, kLdt = 0x5000,
                            kCode = 0x10000, kStack = 0x9000, kUserStack = 0xb000, kData = 0x20000,
                            kTables = 0x300000;
  /// Stack pointers in the TSS: of level n, and interrupt stack n.
  static constexpr uint64_t stack_of(unsigned level) { return 0xc000 + 0x1000 * level; }
  static constexpr uint64_t interrupt_stack(unsigned n) { return 0x30000 + 0x1000 * n; }
  /// Selectors of flat segments of a level, with that RPL.
  static constexpr uint16_t code(unsigned level) {
    return static_cast<uint16_t>((1 + 2 * level) * 8 + level);
  }
  static constexpr uint16_t data(unsigned level) {
    return static_cast<uint16_t>((2 + 2 * level) * 8 + level);
  }
  static constexpr unsigned kFree = 16;  ///< the first descriptor that tests may use
  static constexpr uint16_t kTaskSelector = 10 * 8, kLdtSelector = 12 * 8,
                            kCode32Selector = 14 * 8 + 3;

  explicit TrapMachine(Mode mode);

  Cpu& cpu() { return *cpu_; }
  Interp& interp() { return *interp_; }
  uint8_t* ram(uint64_t address);
  uint64_t word(uint64_t address, unsigned size = 8);
  void set_word(uint64_t address, uint64_t value, unsigned size = 8);

  void set_descriptor(unsigned index, uint64_t value) { set_word(kGdt + 8 * index, value); }
  uint64_t descriptor(unsigned index) { return word(kGdt + 8 * index); }
  /// Bytes 5 and 6 in `attributes`, as in Segment. The limit is in units of `attributes`'
  /// granularity.
  static uint64_t make(uint64_t base, uint32_t limit, uint16_t attributes);
  /// `type` as in trap::system_type.
  void set_gate(unsigned vector, uint16_t selector, uint64_t offset, unsigned type, unsigned dpl,
                bool present = true, unsigned ist = 0);
  /// Puts the processor on code and stack of this level.
  void enter(unsigned level);

  /// Emulates the instruction of these bytes, at RIP.
  std::string emulate_bytes(std::initializer_list<uint8_t> bytes);
  std::string emulate_bytes(const std::vector<uint8_t>& bytes);
  Op decode_bytes(const std::vector<uint8_t>& bytes);
  /// The same, but for what is not bound to the VMM in the decoder of the interpreter.
  std::string emulate_op(const Op& op);
  /// WRMSR.
  std::string write_msr(uint32_t index, uint64_t value);
  /// Runs code in the interpreter, with the VMM's part done, until HLT or shutdown. How it ended.
  std::string run(const std::vector<uint8_t>& bytes, uint64_t instructions = 1000);

  uint64_t time_stamp(const Cpu& c) override { return 1000 + c.instructions; }
  uint64_t port_read(Cpu&, uint16_t port, unsigned size) override;
  void port_write(Cpu&, uint16_t port, unsigned size, uint64_t value) override;
  bool hypercall(Cpu& c) override;
  Board& board() override { return board_; }

  TrapPolicy policy;
  EmptyBoard board_;
  std::vector<uint64_t> written;  ///< to ports: port << 32 | value
  bool hypercalls = true;

 private:
  uint64_t device_read(Gpa, unsigned) override { return ~uint64_t{0}; }
  void device_write(Gpa, unsigned, uint64_t) override {}

  const Mode mode_;
  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Vcpu<Backend>> mmu_;
  CodeCache code_cache_;
  std::unique_ptr<Cpu> cpu_;
  std::unique_ptr<Interp> interp_;
};

}  // namespace gnomon::vmm

#endif  // TESTS_TRAP_MACHINE_H_

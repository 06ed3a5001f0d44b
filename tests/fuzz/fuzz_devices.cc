// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>

#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vmm/board.h"
#include "tests/support/temporary_directory.h"

// Bytes are what a hostile guest does to a whole `pc` board: accesses to ports and device memory,
// interrupts taken, time that passes. Nothing may crash or take long, and the same program must
// give the same answers again.

namespace {

using namespace gnomon;
using namespace gnomon::vmm;

// Where devices are; a few accesses go elsewhere.
constexpr struct {
  uint16_t base, count;
} kPorts[] = {{0x20, 2},   {0xa0, 2},  {0x4d0, 2}, {0x40, 4},   {0x60, 5},  {0x70, 2},  {0x80, 20},
              {0xe9, 1},   {0xf4, 4},  {0x1f0, 8}, {0x170, 8},  {0x3f6, 1}, {0x376, 1}, {0x3b4, 12},
              {0x3c0, 32}, {0x3f8, 8}, {0x510, 2}, {0x600, 12}, {0xcf8, 8}, {0x1f0, 1}, {0x1f7, 1}};

class Program {
 public:
  Program(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool done() const { return at_ >= size_; }
  uint8_t byte() { return done() ? 0 : data_[at_++]; }
  uint64_t number(unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= uint64_t{byte()} << (8 * i);
    return value;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

struct Answers : MachineControl {
  void note(uint64_t value) { hash = (hash ^ value) * 0x100000001b3; }
  void send_init(unsigned cpu) override { note(0x100 + cpu); }
  void send_startup(unsigned cpu, uint8_t vector) override { note(0x10000 + cpu * 256 + vector); }
  void send_nmi(unsigned cpu) override { note(0x200 + cpu); }
  void request_reset() override { resets = true; }
  void request_exit(int status) override { note(static_cast<uint64_t>(status)); }
  uint64_t hash = 0xcbf29ce484222325;
  bool resets = false;
};

const GuestMemory& some_memory() {
  static const auto host = HostMemory::create(4 << 20);
  static auto* const p2m = new P2m(**host);
  static const bool added = p2m->add_slot(Gpa(0), 2 << 20, {}).ok();
  static auto* const memory = new GuestMemory(*p2m);
  if (!added) std::abort();
  return *memory;
}

void check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

uint64_t run(const uint8_t* data, size_t size) {
  static const test_support::TemporaryFile disk(std::string(100 * 512 + 3, 'd'));
  constexpr unsigned kCpus = 3;
  Answers answers;
  Clock clock;
  BoardOptions options;
  options.cpus = kCpus;
  options.disks = {disk.path(), disk.path()};
  options.console_output = [&](absl::string_view bytes) { answers.note(bytes.size()); };
  auto made = create_board(options, clock, answers);
  check(made.ok(), "no board");
  Board& board = **made;

  Program p(data, size);
  while (!p.done()) {
    const uint8_t op = p.byte();
    const unsigned cpu = (op >> 3 & 3) % kCpus;
    const unsigned width = 1u << (op >> 5 & 3);
    switch (op & 7) {
      case 0:
      case 1: {
        const auto& ports = kPorts[p.byte() % std::size(kPorts)];
        const uint16_t port = static_cast<uint16_t>(ports.base + p.byte() % ports.count);
        if ((op & 1) != 0) {
          board.ports().write(port, width > 4 ? 4 : width, p.number(width > 4 ? 1 : width), cpu);
        } else {
          answers.note(board.ports().read(port, width > 4 ? 4 : width, cpu));
        }
        break;
      }
      case 2:
      case 3: {  // registers of either APIC are at multiples of 16
        const uint8_t where = p.byte();
        const uint64_t base = where >= 0xf0 ? 0xfec0'0000 : 0xfee0'0000;
        const uint64_t offset =
            where >= 0xf0 ? where % 2 * 16u : where % 64 * 16u + (where >= 0xe0 ? where % 4 : 0);
        if ((op & 1) != 0) {
          board.device_memory().write(base + offset, where >= 0xe0 ? width : 4, p.number(4), cpu);
        } else {
          answers.note(board.device_memory().read(base + offset, where >= 0xe0 ? width : 4, cpu));
        }
        break;
      }
      case 4: {
        const bool pending = board.interrupt_pending(cpu);
        const auto vector = board.acknowledge_interrupt(cpu);
        check(pending == vector.has_value(), "a pending interrupt must be taken, others not");
        answers.note(vector ? *vector : 0x1000);
        break;
      }
      case 5:  // from nanoseconds to months
        clock.advance_to(clock.now() + (p.number(1) << (p.byte() % 48)));
        break;
      case 6: {
        const uint64_t deadline = clock.next_deadline();
        if (deadline != Clock::kNever) clock.advance_to(deadline);
        answers.note(clock.now());
        check(clock.next_deadline() > clock.now(), "a timer is due again at once");
        break;
      }
      default:
        switch (op >> 3 & 7) {
          case 0: answers.note(board.console_input("some typed text")); break;
          case 1: answers.note(board.keyboard_input("some typed Text\n")); break;
          case 2: board.set_task_priority(cpu, p.byte() & 15); break;
          case 3: answers.note(board.set_apic_base(cpu, 0xfee0'0000 | p.number(2))); break;
          case 4: answers.note(board.text_screen(some_memory()).size()); break;
          case 5: board.reset(); break;
          case 6:  // a block of data to or from a disk
            for (int i = 0; i < 128; ++i) {
              if ((op & 0x40) != 0) {
                board.ports().write(0x1f0, 4, static_cast<uint64_t>(i) * 0x01010101);
              } else {
                answers.note(board.ports().read(0x1f0, 4));
              }
            }
            break;
          default: answers.note(board.task_priority(cpu) + board.apic_base(cpu)); break;
        }
    }
    if (answers.resets) board.reset();
    answers.resets = false;
  }
  answers.note(board.notes().size());
  return answers.hash;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check(run(data, size) == run(data, size), "the same program gave other answers");
  return 0;
}

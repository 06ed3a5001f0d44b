// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/interrupt.h"
#include "vmm/trap/trap.h"

// Delivery of events, and what becomes of faults on the way (SDM vol. 3, 6.15, "Double Fault
// Exception").

namespace gnomon::vmm {
namespace trap {
namespace {

enum class FaultClass : uint8_t { kBenign, kContributory, kPage, kDouble };

FaultClass class_of(uint8_t vector) {
  switch (vector) {
    case kDivideError:
    case kInvalidTss:
    case kSegmentNotPresent:
    case kStackFault:
    case kGeneralProtection: return FaultClass::kContributory;
    case kPageFault: return FaultClass::kPage;
    case kDoubleFault: return FaultClass::kDouble;
    default: return FaultClass::kBenign;
  }
}

}  // namespace

Combined combine(bool first_is_exception, uint8_t first, uint8_t second) {
  if (!first_is_exception) return Combined::kSecond;
  const FaultClass next = class_of(second);
  if (next == FaultClass::kBenign) return Combined::kSecond;
  switch (class_of(first)) {
    case FaultClass::kDouble: return Combined::kShutdown;
    case FaultClass::kPage: return Combined::kDoubleFault;
    case FaultClass::kContributory:
      return next == FaultClass::kContributory ? Combined::kDoubleFault : Combined::kSecond;
    case FaultClass::kBenign: break;
  }
  return Combined::kSecond;
}

}  // namespace trap

namespace {

constexpr uint64_t kDr6Step = 1u << 14;
constexpr uint64_t kDr7General = 1u << 13;

ExitClass class_of(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::kFault: return ExitClass::kFault;
    case Event::Kind::kTrap: return ExitClass::kTrap;
    case Event::Kind::kSoftware: return ExitClass::kSoftwareInterrupt;
    case Event::Kind::kInterrupt: break;
  }
  return ExitClass::kInterrupt;
}

bool deliver_once(Cpu& cpu, const Event& event) {
  trap::Entry entry;
  entry.vector = event.vector;
  entry.has_error = event.has_error;
  entry.error = event.error;
  entry.software = event.kind == Event::Kind::kSoftware;
  entry.return_rip = cpu.rip;
  entry.saved_flags = cpu.rflags() & ~flag::kRF;
  // So that the instruction is not met by the same instruction breakpoint again.
  if (event.kind == Event::Kind::kFault && event.vector != kDebug) entry.saved_flags |= flag::kRF;
  return trap::enter_handler(cpu, entry);
}

}  // namespace

Emulated deliver(Cpu& cpu, const Event& first) {
  ++cpu.exits[class_of(first.kind)];
  Event event = first;
  if (event.kind == Event::Kind::kTrap && event.vector == kDebug) cpu.state.dr[6] |= kDr6Step;
  for (;;) {
    const bool exception = event.kind == Event::Kind::kFault || event.kind == Event::Kind::kTrap;
    if (exception && event.vector == kPageFault) cpu.state.cr2 = event.cr2;
    if (deliver_once(cpu, event)) break;
    if (cpu.memory.host_failed) return Emulated::kShutdown;
    const Fault second = cpu.exit.fault;
    switch (trap::combine(exception, event.vector, second.vector)) {
      case trap::Combined::kShutdown:
        cpu.exit.fault = Fault::with_error(kDoubleFault, 0);
        return Emulated::kShutdown;
      case trap::Combined::kDoubleFault:
        if (second.vector == kPageFault) cpu.state.cr2 = second.cr2;
        event = {Event::Kind::kFault, kDoubleFault, true, 0, 0};
        break;
      case trap::Combined::kSecond:
        event = {Event::Kind::kFault, second.vector, second.has_error, second.error, second.cr2};
        break;
    }
    ++cpu.exits[ExitClass::kFault];
  }
  if (event.vector == kDebug) cpu.state.dr[7] &= ~kDr7General;
  if (first.kind == Event::Kind::kInterrupt && first.vector == kNmi) cpu.state.nmi_blocked = true;
  cpu.state.halted = false;
  cpu.state.interrupt_shadow = false;
  return Emulated::kDone;
}

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/local_apic.h"

#include "gnomon/vmm/board.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kDefaultBase = 0xfee0'0000;

enum : uint32_t {
  kId = 0x20,
  kVersion = 0x30,
  kTpr = 0x80,
  kApr = 0x90,
  kPpr = 0xa0,
  kEoi = 0xb0,
  kRrd = 0xc0,
  kLdr = 0xd0,
  kDfr = 0xe0,
  kSvr = 0xf0,
  kIsr = 0x100,
  kTmr = 0x180,
  kIrr = 0x200,
  kEsr = 0x280,
  kIcrLow = 0x300,
  kIcrHigh = 0x310,
  kLvt = 0x320,
  kLvtEnd = 0x380,
  kInitialCount = 0x380,
  kCurrentCount = 0x390,
  kDivide = 0x3e0,
};

constexpr uint32_t kVersionValue = 0x14 | 5 << 16;  // integrated; six local entries
constexpr uint32_t kSoftwareEnable = 1u << 8;       // SVR
constexpr uint32_t kLvtMasked = 1u << 16;
constexpr uint32_t kLvtPeriodic = 1u << 17, kLvtDeadline = 1u << 18;
constexpr uint32_t kErrorSendVector = 1u << 5, kErrorReceiveVector = 1u << 6,
                   kErrorRegister = 1u << 7;

// Writable bits of each local entry.
constexpr uint32_t kLocalBits[] = {0x7'00ff, 0x1'07ff, 0x1'07ff, 0x1'a7ff, 0x1'a7ff, 0x1'00ff};

DeliveryMode mode_of(uint32_t entry) { return static_cast<DeliveryMode>(entry >> 8 & 7); }

}  // namespace

LocalApic::LocalApic(unsigned cpu, Clock& clock, ApicBus& bus)
    : cpu_(cpu), bus_(&bus), timer_(clock, [this] { raise(kTimer); }) {
  reset(cpu == 0);
}

void LocalApic::reset(bool boot_processor) {
  base_ = kDefaultBase | kBaseEnable | (boot_processor ? kBaseBoot : 0);
  clear();
  if (!boot_processor) return;
  spurious_ |= kSoftwareEnable;
  locals_[kLint0] = static_cast<uint32_t>(DeliveryMode::kExtInt) << 8;
  locals_[kLint1] = static_cast<uint32_t>(DeliveryMode::kNmi) << 8;
}

void LocalApic::init() { clear(); }

void LocalApic::clear() {
  timer_.reset();
  requested_ = in_service_ = level_ = VectorSet();
  task_priority_ = 0;
  logical_ = errors_ = new_errors_ = command_ = command_to_ = 0;
  format_ = 0xffff'ffff;
  spurious_ = 0xff;
  locals_.fill(kLvtMasked);
  update();
}

bool LocalApic::set_base(uint64_t value) {
  // x2APIC is not there, and the registers stay where they are.
  if ((value & ~(kBaseBoot | kBaseEnable)) != kDefaultBase) return false;
  base_ = (value & ~kBaseBoot) | (base_ & kBaseBoot);
  if (!hardware_enabled()) clear();  // it comes back as from power-on
  return true;
}

bool LocalApic::accepts_interrupts() const {
  return hardware_enabled() && (spurious_ & kSoftwareEnable) != 0;
}

bool LocalApic::passes_external() const {
  return hardware_enabled() && (locals_[kLint0] & kLvtMasked) == 0 &&
         mode_of(locals_[kLint0]) == DeliveryMode::kExtInt;
}

void LocalApic::set_lint0(bool high) {
  const bool rises = high && !lint0_;
  lint0_ = high;
  if (rises && hardware_enabled()) raise(kLint0);
}

void LocalApic::raise(Local local) {
  const uint32_t entry = locals_[local];
  if ((entry & kLvtMasked) != 0) return;
  const bool has_mode = local != kTimer && local != kError;
  switch (has_mode ? mode_of(entry) : DeliveryMode::kFixed) {
    case DeliveryMode::kFixed: accept(static_cast<uint8_t>(entry), false); break;
    case DeliveryMode::kNmi: bus_->control().send_nmi(cpu_); break;
    default: break;  // ExtINT: see passes_external
  }
}

bool LocalApic::accept(uint8_t vector, bool level) {
  if (!accepts_interrupts()) return false;
  if (vector < 16) {
    report(kErrorReceiveVector);
    return false;
  }
  requested_.add(vector);
  if (level) {
    level_.add(vector);
  } else {
    level_.remove(vector);
  }
  update();
  return true;
}

bool LocalApic::has_logical_address(uint8_t destination) const {
  const uint8_t own = static_cast<uint8_t>(logical_ >> 24);
  if (format_ >> 28 == 0xf) return (own & destination) != 0;  // flat
  if (format_ >> 28 != 0) return false;
  const bool cluster = destination >> 4 == own >> 4 || destination >> 4 == 0xf;
  return cluster && (own & destination & 0xf) != 0;
}

uint8_t LocalApic::processor_priority() const {
  const int serving = in_service_.highest();
  const uint8_t serving_class = serving < 0 ? 0 : static_cast<uint8_t>(serving & 0xf0);
  return task_priority_ >> 4 >= serving_class >> 4 ? task_priority_ : serving_class;
}

void LocalApic::update() {
  const int highest = requested_.highest();
  pending_ = highest >> 4 > processor_priority() >> 4;
}

std::optional<uint8_t> LocalApic::acknowledge() {
  if (!pending_) return std::nullopt;
  const uint8_t vector = static_cast<uint8_t>(requested_.highest());
  requested_.remove(vector);
  in_service_.add(vector);
  update();
  return vector;
}

void LocalApic::set_task_priority(uint8_t value) {
  task_priority_ = value;
  update();
}

void LocalApic::end_of_interrupt() {
  const int serving = in_service_.highest();
  if (serving < 0) return;
  const uint8_t vector = static_cast<uint8_t>(serving);
  in_service_.remove(vector);
  update();
  if (level_.contains(vector)) bus_->end_of_interrupt(vector);
}

void LocalApic::report(uint32_t error) {
  new_errors_ |= error;
  // An error entry with a vector that is an error itself stays silent.
  if (static_cast<uint8_t>(locals_[kError]) >= 16) raise(kError);
}

// SDM vol. 3, 11.6.1. Messages arrive at once, so the delivery status always reads idle.
void LocalApic::send() {
  ApicMessage message;
  message.vector = static_cast<uint8_t>(command_);
  message.mode = mode_of(command_);
  message.logical = (command_ >> 11 & 1) != 0;
  message.destination = static_cast<uint8_t>(command_to_ >> 24);
  const bool asserts = (command_ >> 14 & 1) != 0, level = (command_ >> 15 & 1) != 0;
  if (message.mode == DeliveryMode::kInit && level && !asserts) return;  // only old APICs care
  if (message.mode == DeliveryMode::kFixed || message.mode == DeliveryMode::kLowestPriority) {
    if (message.vector < 16) {
      report(kErrorSendVector);
      return;
    }
  }
  const uint64_t self = uint64_t{1} << cpu_;
  uint64_t to = 0;
  switch (command_ >> 18 & 3) {  // shorthand
    case 0: to = bus_->destinations(message.destination, message.logical); break;
    case 1: to = self; break;
    case 2: to = bus_->everyone(); break;
    default: to = bus_->everyone() & ~self; break;
  }
  bus_->deliver(to, message);
}

void LocalApic::write_spurious(uint32_t value) {
  spurious_ = value & 0x3ff;
  if ((spurious_ & kSoftwareEnable) != 0) return;
  for (unsigned i = 0; i < kLocals; ++i) write_local(static_cast<Local>(i), locals_[i]);
}

void LocalApic::write_local(Local local, uint32_t value) {
  value &= kLocalBits[local];
  if ((spurious_ & kSoftwareEnable) == 0) value |= kLvtMasked;  // disabled: stays set
  locals_[local] = value;
  if (local != kTimer) return;
  if ((value & kLvtDeadline) != 0) timer_.stop();
  timer_.set_mode((value & kLvtPeriodic) != 0, (value & kLvtMasked) == 0);
}

uint32_t LocalApic::read(uint32_t offset) {
  if (offset >= kIsr && offset < kIsr + 0x80) return in_service_.word((offset - kIsr) / 16);
  if (offset >= kTmr && offset < kTmr + 0x80) return level_.word((offset - kTmr) / 16);
  if (offset >= kIrr && offset < kIrr + 0x80) return requested_.word((offset - kIrr) / 16);
  if (offset >= kLvt && offset < kLvtEnd) return locals_[(offset - kLvt) / 16];
  switch (offset) {
    case kId: return cpu_ << 24;
    case kVersion: return kVersionValue;
    case kTpr: return task_priority_;
    case kApr:
    case kPpr: return processor_priority();
    case kLdr: return logical_;
    case kDfr: return format_;
    case kSvr: return spurious_;
    case kEsr: return errors_;
    case kIcrLow: return command_;
    case kIcrHigh: return command_to_;
    case kInitialCount: return timer_.initial_count();
    case kCurrentCount: return timer_.current_count();
    case kDivide: return timer_.divide();
    case kEoi:
    case kRrd: return 0;
    default: break;
  }
  report(kErrorRegister);
  return 0;
}

void LocalApic::write(uint32_t offset, uint32_t value) {
  if (offset >= kLvt && offset < kLvtEnd) {
    write_local(static_cast<Local>((offset - kLvt) / 16), value);
    return;
  }
  switch (offset) {
    case kTpr: set_task_priority(static_cast<uint8_t>(value)); break;
    case kEoi: end_of_interrupt(); break;
    case kLdr: logical_ = value & 0xff00'0000; break;
    case kDfr: format_ = value | 0x0fff'ffff; break;
    case kSvr: write_spurious(value); break;
    case kEsr:  // a write makes what was collected visible
      errors_ = new_errors_;
      new_errors_ = 0;
      break;
    case kIcrLow:
      command_ = value & 0xc'cfff;
      send();
      break;
    case kIcrHigh: command_to_ = value & 0xff00'0000; break;
    case kInitialCount:
      if ((locals_[kTimer] & kLvtDeadline) == 0) timer_.set_initial_count(value);
      break;
    case kDivide: timer_.set_divide(value); break;
    case kId:  // read only, as since the Pentium 4
    case kVersion:
    case kApr:
    case kPpr:
    case kRrd:
    case kCurrentCount: break;
    default: {
      const bool read_only = offset >= kIsr && offset < kEsr;
      if (!read_only) report(kErrorRegister);
    }
  }
}

}  // namespace gnomon::vmm

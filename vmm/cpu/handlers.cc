// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

namespace gnomon::vmm {
namespace handlers {

void undefined(Cpu& cpu, const Op* op) { fault(cpu, op, Fault::plain(kInvalidOpcode)); }

void too_long(Cpu& cpu, const Op* op) { fault(cpu, op, Fault::gp()); }

void sensitive(Cpu& cpu, const Op* op) { stop(cpu, op, ExitReason::kInstruction); }

void check_segment(Cpu& cpu, const Op* op) {
  const Op* const checked = op + 1;
  if (may_access(cpu, checked->segment, cpu.offset_of(checked), op->size, op->r1 != 0)) {
    return next(cpu, op);
  }
  fault(cpu, op, segment_fault(checked->segment));
}

}  // namespace handlers

void fault(Cpu& cpu, const Op* op, const Fault& what) {
  cpu.exit.fault = what;
  stop(cpu, op, ExitReason::kFault);
}

void memory_fault(Cpu& cpu, const Op* op, bool stack) {
  if (cpu.memory.wants_device) [[unlikely]]
    return stop(cpu, op, ExitReason::kDevice);
  cpu.exit.fault = cpu.memory.fault;
  if (cpu.exit.fault.non_canonical && stack) cpu.exit.fault.vector = kStackFault;
  stop(cpu, op, cpu.memory.host_failed ? ExitReason::kHostFailed : ExitReason::kFault);
}

bool may_access(const Cpu& cpu, unsigned segment, uint64_t offset, unsigned bytes, bool write) {
  if (segment == kNoSegment || cpu.code64()) return true;
  const Segment& s = cpu.state.segments[segment];
  const uint64_t last = offset + bytes - 1;
  if ((cpu.mode & code_mode::kReal) != 0) return last <= s.limit;
  if (!s.present()) return false;
  if ((s.attributes & seg::kCode) != 0) {
    if (write || (s.attributes & seg::kReadable) == 0) return false;
  } else {
    if (write && (s.attributes & seg::kWritable) == 0) return false;
    if ((s.attributes & seg::kExpandDown) != 0) {
      const uint64_t top = (s.attributes & seg::kDB) != 0 ? 0xffff'ffff : 0xffff;
      return offset > s.limit && last <= top;
    }
  }
  return last <= s.limit;
}

Fault segment_fault(unsigned segment) {
  return Fault::with_error(segment == kSs ? kStackFault : kGeneralProtection, 0);
}

}  // namespace gnomon::vmm

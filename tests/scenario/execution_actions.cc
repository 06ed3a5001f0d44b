// SPDX-License-Identifier: Apache-2.0
//
// What each verb of a program does.
#include <algorithm>

#include "tests/scenario/execution.h"

namespace gnomon::scenario {

Problem Execution::apply(const Action& a) {
  VcpuState& cpu = m_.cpu(a.cpu);
  History& history = histories_[cpu.id];
  switch (a.verb) {
    case Verb::kStore: return store(cpu, Gpa(a.address), a.value, clipped(a.address, a.size));
    case Verb::kAccess: return use(cpu, a);
    case Verb::kCr3:
      if (m_.load_cr3(cpu, a.address, a.flag)) {
        history.load_cr3(pcid_of(cpu.controls), !(a.flag && (cpu.controls.cr4 & cr4::kPCIDE) != 0));
        changed_ = true;
      }
      return {};
    case Verb::kSet:
      return set_bit(cpu, history, static_cast<ControlBit>(a.choice), a.flag), Problem();
    case Verb::kPkru: return m_.set_pkru(cpu, static_cast<uint32_t>(a.value)), Problem();
    case Verb::kMode:
      if (m_.set_mode(cpu, static_cast<PagingMode>(a.choice), a.address)) {
        history.flush_all();
        history.load_cr3(pcid_of(cpu.controls), true);
        changed_ = true;
      }
      return {};
    case Verb::kInvlpg:
      m_.backend().invlpg(cpu, Gva(a.address));
      history.invlpg(Gva(a.address));
      changed_ = true;
      return {};
    case Verb::kInvpcid: {
      // A PCID other than 0 needs CR4.PCIDE, or #GP.
      const bool pcide = (cpu.controls.cr4 & cr4::kPCIDE) != 0;
      const auto pcid = static_cast<uint16_t>(pcide ? a.value & cr3::kPcidMask : 0);
      m_.backend().invpcid(cpu, static_cast<InvpcidType>(a.choice), pcid, Gva(a.address));
      history.invpcid(static_cast<InvpcidType>(a.choice), pcid, Gva(a.address));
      changed_ = true;
      return {};
    }
    case Verb::kReclaim: return m_.backend().drop_caches(), Problem();
    case Verb::kPlug:
      changed_ = m_.plug();
      if (changed_) m_.plug_into(mirror_.p2m());
      return {};
    case Verb::kUnplug:
      if (!m_.unplug()) return {};
      m_.unplug_from(mirror_.p2m());
      changed_ = true;
      return {};
    default: return change_host(a);
  }
}

Problem Execution::change_host(const Action& a) {
  P2m& p2m = m_.p2m();
  const VmGuard guard(p2m.lock());
  const Gpa at(a.address);
  changed_ = true;
  switch (a.verb) {
    case Verb::kRemap: (void)p2m.remap(at); break;
    case Verb::kBalloon:
      if (p2m.balloon(at).ok()) (void)mirror_.p2m().balloon(at);
      break;
    case Verb::kDeflate:
      if (p2m.deflate(at).ok()) (void)mirror_.p2m().deflate(at);
      break;
    case Verb::kSplit: (void)p2m.split(at); break;
    case Verb::kPromote: (void)p2m.promote(at); break;
    case Verb::kLogStart: p2m.start_dirty_log(at, a.value); break;
    case Verb::kLogTake: p2m.take_dirty(at, a.value); break;
    case Verb::kLogStop: p2m.stop_dirty_log(at, a.value); break;
    default: break;
  }
  return {};
}

void Execution::set_bit(VcpuState& cpu, History& history, ControlBit bit, bool on) {
  const PagingRules before = cpu.rules;
  const uint64_t cr4_before = cpu.controls.cr4;
  if (!m_.set_bit(cpu, bit, on)) return;
  const uint64_t flipped = cr4_before ^ cpu.controls.cr4;
  // SDM 4.10.4.1: these changes flush everything. (PSE: listed with MOV to CR4 in vol. 2.)
  if ((flipped & (cr4::kPGE | cr4::kPSE)) != 0 || (flipped & cr4_before & cr4::kPCIDE) != 0 ||
      (flipped & cpu.controls.cr4 & cr4::kSMEP) != 0) {
    history.flush_all();
  }
  history.load_cr3(pcid_of(cpu.controls), false);
  changed_ = !(before == cpu.rules) || flipped != 0;
}

}  // namespace gnomon::scenario

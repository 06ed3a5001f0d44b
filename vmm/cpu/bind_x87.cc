// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/decode.h"
#include "vmm/cpu/x87.h"

// x87: which handler an opcode has; and instructions on control and status words, most of which do
// not wait for pending exceptions.

namespace gnomon::vmm {
namespace x87 {

bool refuse(Cpu& cpu, const Op* op) {
  if (cpu.x87_fault != 0) {
    fault(cpu, op, Fault::plain(cpu.x87_fault));
    return true;
  }
  if ((cpu.controls().cr0 & kNumericError) == 0) return false;
  fault(cpu, op, Fault::plain(kX87Error));
  return true;
}

namespace {

bool available(Cpu& cpu, const Op* op) {
  if (cpu.x87_fault == 0) [[likely]]
    return true;
  fault(cpu, op, Fault::plain(cpu.x87_fault));
  return false;
}

void fninit(Cpu& cpu, const Op* op) {
  if (!available(cpu, op)) return;
  X87State& s = cpu.state.x87;
  s.control = 0x37f;
  s.status = 0;
  s.tags = 0;
  s.last_opcode = 0;
  s.last_ip = s.last_data = 0;
  return next(cpu, op);
}
void fnclex(Cpu& cpu, const Op* op) {
  if (!available(cpu, op)) return;
  cpu.state.x87.status &= static_cast<uint16_t>(~(kExceptions | kStack | kSummary | kBusy));
  return next(cpu, op);
}
void fnop(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  return done(cpu, op);
}
// Instructions of the 8087 and 80287 that do nothing since.
void nothing(Cpu& cpu, const Op* op) {
  if (!available(cpu, op)) return;
  return next(cpu, op);
}
void fwait(Cpu& cpu, const Op* op) {
  if (cpu.wait_fault != 0) return fault(cpu, op, Fault::plain(cpu.wait_fault));
  const bool pending = (cpu.state.x87.status & kSummary) != 0;
  if (pending && (cpu.controls().cr0 & kNumericError) != 0)
    return fault(cpu, op, Fault::plain(kX87Error));
  return next(cpu, op);
}
void fldcw(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  uint16_t value;
  if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  cpu.state.x87.control = static_cast<uint16_t>((value & kControlDefined) | kControlOnes);
  summarize(cpu.state.x87);
  return next(cpu, op);
}
void fnstcw(Cpu& cpu, const Op* op) {
  if (!available(cpu, op)) return;
  if (!cpu.memory.store(cpu.linear_of(op), cpu.state.x87.control)) return memory_fault(cpu, op);
  return next(cpu, op);
}
void fnstsw(Cpu& cpu, const Op* op) {
  if (!available(cpu, op)) return;
  if (!cpu.memory.store(cpu.linear_of(op), cpu.state.x87.status)) return memory_fault(cpu, op);
  return next(cpu, op);
}
void fnstsw_ax(Cpu& cpu, const Op* op) {
  if (!available(cpu, op)) return;
  cpu.set_reg<uint16_t>(8 * kRax, cpu.state.x87.status);
  return next(cpu, op);
}

}  // namespace

Handler control_handler(uint8_t opcode, uint8_t modrm) {
  const unsigned reg = modrm >> 3 & 7;
  if (modrm < 0xc0) {
    if (opcode == 0xd9 && reg == 5) return fldcw;
    if (opcode == 0xd9 && reg == 7) return fnstcw;
    return opcode == 0xdd && reg == 7 ? fnstsw : nullptr;
  }
  if (opcode == 0xd9 && modrm == 0xd0) return fnop;
  if (opcode == 0xdf && modrm == 0xe0) return fnstsw_ax;
  if (opcode != 0xdb) return nullptr;
  switch (modrm) {
    case 0xe0:
    case 0xe1:
    case 0xe4: return nothing;
    case 0xe2: return fnclex;
    case 0xe3: return fninit;
    default: return nullptr;
  }
}

}  // namespace x87

namespace {

bool bind_x87(const Decoded& d, Op& op) {
  if (d.i.opcode == 0x9b) {
    op.run = x87::fwait;
    return true;
  }
  const uint8_t opcode = d.i.opcode;
  const auto modrm =
      static_cast<uint8_t>(d.i.raw.modrm.mod << 6 | d.i.raw.modrm.reg << 3 | d.i.raw.modrm.rm);
  if (opcode < 0xd8 || opcode > 0xdf) return false;
  op.r1 = modrm & 7;
  op.imm = (opcode & 7u) << 8 | modrm;
  // FCOMPP and FUCOMPP name no register; it is ST1, as in ModRM.
  for (const auto find : {x87::arithmetic_handler, x87::transfer_handler, x87::function_handler,
                          x87::control_handler}) {
    op.run = find(opcode, modrm);
    if (op.run != nullptr) return true;
  }
  return false;
}

#define GNOMON_ROW(name) \
  { ZYDIS_MNEMONIC_##name, bind_x87 }

constexpr Binding kBindings[] = {
    GNOMON_ROW(F2XM1),        GNOMON_ROW(FABS),          GNOMON_ROW(FADD),
    GNOMON_ROW(FADDP),        GNOMON_ROW(FBLD),          GNOMON_ROW(FBSTP),
    GNOMON_ROW(FCHS),         GNOMON_ROW(FCMOVB),        GNOMON_ROW(FCMOVBE),
    GNOMON_ROW(FCMOVE),       GNOMON_ROW(FCMOVNB),       GNOMON_ROW(FCMOVNBE),
    GNOMON_ROW(FCMOVNE),      GNOMON_ROW(FCMOVNU),       GNOMON_ROW(FCMOVU),
    GNOMON_ROW(FCOM),         GNOMON_ROW(FCOMI),         GNOMON_ROW(FCOMIP),
    GNOMON_ROW(FCOMP),        GNOMON_ROW(FCOMPP),        GNOMON_ROW(FCOS),
    GNOMON_ROW(FDECSTP),      GNOMON_ROW(FDISI8087_NOP), GNOMON_ROW(FDIV),
    GNOMON_ROW(FDIVP),        GNOMON_ROW(FDIVR),         GNOMON_ROW(FDIVRP),
    GNOMON_ROW(FENI8087_NOP), GNOMON_ROW(FFREE),         GNOMON_ROW(FFREEP),
    GNOMON_ROW(FIADD),        GNOMON_ROW(FICOM),         GNOMON_ROW(FICOMP),
    GNOMON_ROW(FIDIV),        GNOMON_ROW(FIDIVR),        GNOMON_ROW(FILD),
    GNOMON_ROW(FIMUL),        GNOMON_ROW(FINCSTP),       GNOMON_ROW(FIST),
    GNOMON_ROW(FISTP),        GNOMON_ROW(FISUB),         GNOMON_ROW(FISUBR),
    GNOMON_ROW(FLD),          GNOMON_ROW(FLD1),          GNOMON_ROW(FLDCW),
    GNOMON_ROW(FLDL2E),       GNOMON_ROW(FLDL2T),        GNOMON_ROW(FLDLG2),
    GNOMON_ROW(FLDLN2),       GNOMON_ROW(FLDPI),         GNOMON_ROW(FLDZ),
    GNOMON_ROW(FMUL),         GNOMON_ROW(FMULP),         GNOMON_ROW(FNCLEX),
    GNOMON_ROW(FNINIT),       GNOMON_ROW(FNOP),          GNOMON_ROW(FNSTCW),
    GNOMON_ROW(FNSTSW),       GNOMON_ROW(FPATAN),        GNOMON_ROW(FPREM),
    GNOMON_ROW(FPREM1),       GNOMON_ROW(FPTAN),         GNOMON_ROW(FRNDINT),
    GNOMON_ROW(FSCALE),       GNOMON_ROW(FSETPM287_NOP), GNOMON_ROW(FSIN),
    GNOMON_ROW(FSINCOS),      GNOMON_ROW(FSQRT),         GNOMON_ROW(FST),
    GNOMON_ROW(FSTP),         GNOMON_ROW(FSTPNCE),       GNOMON_ROW(FSUB),
    GNOMON_ROW(FSUBP),        GNOMON_ROW(FSUBR),         GNOMON_ROW(FSUBRP),
    GNOMON_ROW(FTST),         GNOMON_ROW(FUCOM),         GNOMON_ROW(FUCOMI),
    GNOMON_ROW(FUCOMIP),      GNOMON_ROW(FUCOMP),        GNOMON_ROW(FUCOMPP),
    GNOMON_ROW(FWAIT),        GNOMON_ROW(FXAM),          GNOMON_ROW(FXCH),
    GNOMON_ROW(FXTRACT),      GNOMON_ROW(FYL2X),         GNOMON_ROW(FYL2XP1),
};

}  // namespace

absl::Span<const Binding> x87_bindings() { return kBindings; }

}  // namespace gnomon::vmm

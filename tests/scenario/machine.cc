// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/machine.h"

#include "gnomon/x86/guest_walk.h"
#include "mmu/guest_access.h"

namespace gnomon::scenario {
namespace {

constexpr uint64_t kHostBytes = 24 << 20;

CpuModel model_of(const Setup& setup) {
  CpuModel model;
  model.maxphyaddr = setup.maxphyaddr;
  model.pse36 = setup.pse36;
  model.gb_pages = setup.gb_pages;
  model.accessed_before_fault = !setup.late_accessed;
  model.pdptes_in_memory = setup.pdptes_in_memory;
  return model;
}

struct BitPlace {
  uint64_t Controls::*reg;
  uint64_t mask;
};
// By ControlBit; AC is not in a control register.
constexpr BitPlace kPlaces[] = {{&Controls::cr0, cr0::kWP},   {&Controls::cr4, cr4::kPSE},
                                {&Controls::cr4, cr4::kPGE},  {&Controls::cr4, cr4::kPCIDE},
                                {&Controls::cr4, cr4::kSMEP}, {&Controls::cr4, cr4::kSMAP},
                                {&Controls::cr4, cr4::kPKE},  {&Controls::efer, efer::kNXE}};

SlotOptions ram_options(const Setup& setup) {
  SlotOptions options;
  options.placement = setup.scattered ? Placement::kScattered : Placement::kContiguous;
  options.lazy = !setup.eager;
  return options;
}

// The read-only frames hold entries that are good tables: some accessed and dirty (walks succeed),
// some not (the processor cannot set the flags).
void fill_rom(P2m& p2m) {
  for (uint64_t f = 0; f < kRomFrames; ++f) {
    for (uint64_t i = 0; i < 512; ++i) {
      const Gpa at(kRomBase + f * kFrame + i * 8);
      const uint64_t flags = f == 0 ? 0x67 : (i % 2 != 0 ? 0x07 : 0x27);
      store_bytes(p2m.ram_at(at), (i % 16 + 1) * kFrame | flags, 8);
    }
  }
}

absl::Status add_slots(P2m& p2m, const Setup& setup) {
  SlotOptions options = ram_options(setup);
  if (absl::Status s = p2m.add_slot(Gpa(0), kRamFrames * kFrame, options); !s.ok()) return s;
  if (setup.large_backing) options.backing = PageSize::k2M;
  options.lazy = true;
  if (absl::Status s = p2m.add_slot(Gpa(kBigBase), kBigFrames * kFrame, options); !s.ok()) return s;
  options.rom = true;
  options.lazy = false;
  options.backing = PageSize::k4K;
  if (absl::Status s = p2m.add_slot(Gpa(kRomBase), kRomFrames * kFrame, options); !s.ok()) return s;
  fill_rom(p2m);
  return p2m.add_mmio(Gpa(kMmioBase), kFrame);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Mirror>> Mirror::create(const Setup& setup) {
  absl::StatusOr<std::unique_ptr<HostMemory>> host = HostMemory::create(kHostBytes);
  if (!host.ok()) return host.status();
  std::unique_ptr<Mirror> mirror(new Mirror(*std::move(host)));
  Setup plain = setup;
  plain.large_backing = plain.scattered = plain.eager = false;
  if (absl::Status status = add_slots(mirror->p2m_, plain); !status.ok()) return status;
  return mirror;
}

absl::StatusOr<std::unique_ptr<Machine>> Machine::create(const Setup& setup,
                                                         absl::string_view spec) {
  absl::StatusOr<std::unique_ptr<HostMemory>> host = HostMemory::create(kHostBytes);
  if (!host.ok()) return host.status();
  std::unique_ptr<Machine> m(new Machine(setup, *std::move(host)));
  if (absl::Status status = add_slots(m->p2m_, setup); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Backend>> backend = create_backend(spec, m->p2m_);
  if (!backend.ok()) return backend.status();
  m->backend_ = *std::move(backend);
  for (auto& cpu : m->cpus_) m->backend_->attach(*cpu);
  return m;
}

Machine::Machine(const Setup& setup, std::unique_ptr<HostMemory> host)
    : host_(std::move(host)), p2m_(*host_), plug_options_(ram_options(setup)) {
  for (uint32_t i = 0; i < setup.cpus; ++i) {
    cpus_.push_back(std::make_unique<VcpuState>(i, model_of(setup)));
  }
}

Machine::~Machine() {
  if (backend_ == nullptr) return;
  for (auto& cpu : cpus_) backend_->detach(*cpu);
  backend_.reset();
}

bool Machine::change(VcpuState& cpu, const Controls& to, bool reload_pdptes) {
  const PagingRules before = cpu.rules;
  Controls next = to;
  const PagingRules rules = derive_rules(next, cpu.cpu);
  const bool pae = rules.mode == PagingMode::kPae;
  if (pae && reload_pdptes && !load_pdptes(p2m_, next, rules)) return false;
  const bool new_pdptes = next.pdpte != cpu.controls.pdpte;
  cpu.controls = next;
  cpu.update_rules();
  backend_->controls_changed(cpu, before);
  if (new_pdptes) backend_->cr3_loaded(cpu, true);
  return true;
}

// A paravirtual guest is told which modes it may use.
bool Machine::supports(PagingMode mode) const {
  return backend_->name() != "direct" || mode == PagingMode::kOff || mode == PagingMode::kLevel4;
}

bool Machine::load_cr3(VcpuState& cpu, uint64_t value, bool no_flush) {
  const bool pcide = (cpu.controls.cr4 & cr4::kPCIDE) != 0;
  const bool long_mode = (cpu.controls.efer & efer::kLMA) != 0;
  Controls next = cpu.controls;
  // Bits above the physical-address width are reserved: #GP. Outside long mode CR3 has 32 bits.
  if (!long_mode) value &= 0xffff'ffff;
  if (value >> cpu.cpu.maxphyaddr != 0) return false;
  next.cr3 = value;
  if (cpu.rules.mode == PagingMode::kPae && !load_pdptes(p2m_, next, cpu.rules)) return false;
  cpu.controls = next;
  backend_->cr3_loaded(cpu, !(pcide && no_flush));
  return true;
}

bool Machine::set_bit(VcpuState& cpu, ControlBit bit, bool on) {
  if (bit == ControlBit::kAc) {
    cpu.controls.ac = on;
    update_access_rules(cpu.rules, on, cpu.controls.pkru);
    return true;
  }
  const BitPlace place = kPlaces[static_cast<size_t>(bit)];
  Controls next = cpu.controls;
  next.*place.reg = on ? next.*place.reg | place.mask : next.*place.reg & ~place.mask;
  if (bit == ControlBit::kPcide && on &&
      ((next.efer & efer::kLMA) == 0 || (next.cr3 & cr3::kPcidMask) != 0)) {
    return false;
  }
  // SDM 4.4.1: changes of these load the PDPTE registers.
  const bool reloads =
      bit == ControlBit::kPge || bit == ControlBit::kPse || bit == ControlBit::kSmep;
  return change(cpu, next, reloads && next != cpu.controls);
}

bool Machine::set_mode(VcpuState& cpu, PagingMode mode, uint64_t cr3) {
  if (!supports(mode)) return false;
  Controls off = cpu.controls;
  off.cr0 = (off.cr0 | cr0::kPE) & ~cr0::kPG;
  off.cr4 &= ~cr4::kPCIDE;
  off.efer &= ~(efer::kLMA | efer::kLME);
  if (mode == PagingMode::kOff) return change(cpu, off, false);
  Controls on = off;
  on.cr4 &= ~(cr4::kPAE | cr4::kLA57);
  const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
  if (mode != PagingMode::kLegacy32) on.cr4 |= cr4::kPAE;
  if (mode == PagingMode::kLevel5) on.cr4 |= cr4::kLA57;
  if (long_mode) on.efer |= efer::kLME | efer::kLMA;
  // CR3 is loaded before long mode is on: 32 bits, and no PCID.
  on.cr3 = cr3 & 0xffff'ffff & ~cr3::kPcidMask;
  if (mode == PagingMode::kPae) on.cr3 = cr3 & 0xffff'ffe0;
  on.cr0 |= cr0::kPG;
  if (on.cr3 >> cpu.cpu.maxphyaddr != 0) return false;
  Controls check = on;
  if (mode == PagingMode::kPae && !load_pdptes(p2m_, check, derive_rules(on, cpu.cpu)))
    return false;
  change(cpu, off, false);
  cpu.controls.cr3 = on.cr3;
  backend_->cr3_loaded(cpu, true);
  return change(cpu, on, true);
}

void Machine::set_pkru(VcpuState& cpu, uint32_t value) {
  cpu.controls.pkru = value;
  update_access_rules(cpu.rules, cpu.controls.ac, value);
}

bool Machine::plug_into(P2m& p2m) {
  const VmGuard guard(p2m.lock());
  return p2m.add_slot(Gpa(kPlugBase), kPlugFrames * kFrame, plug_options_).ok();
}

bool Machine::unplug_from(P2m& p2m) {
  const VmGuard guard(p2m.lock());
  return p2m.remove_slot(Gpa(kPlugBase)).ok();
}

}  // namespace gnomon::scenario

// SPDX-License-Identifier: Apache-2.0
#include "tests/access/machine.h"

#include <cstdlib>
#include <cstring>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "gnomon/x86/guest_walk.h"

namespace gnomon::access_test {
namespace {

constexpr uint64_t kPermissive = 0x27;  // P W U A

unsigned top_level(PagingMode mode) {
  switch (mode) {
    case PagingMode::kOff: return 0;
    case PagingMode::kLegacy32: return 2;
    case PagingMode::kPae: return 3;
    case PagingMode::kLevel4: return 4;
    case PagingMode::kLevel5: return 5;
  }
  return 0;
}

Controls controls_of(PagingMode mode, const ControlSet& c) {
  Controls r;
  const auto when = [](bool on, uint64_t bits) { return on ? bits : uint64_t{0}; };
  const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
  r.cr0 = cr0::kPE | when(mode != PagingMode::kOff, cr0::kPG) | when(c.wp, cr0::kWP);
  r.cr4 = when(mode != PagingMode::kLegacy32, cr4::kPAE) | when(c.pse, cr4::kPSE) |
          when(mode == PagingMode::kLevel5, cr4::kLA57) | when(c.smep, cr4::kSMEP) |
          when(c.smap, cr4::kSMAP) | when(c.pke, cr4::kPKE);
  r.efer = when(long_mode, efer::kLME | efer::kLMA) | when(c.nxe, efer::kNXE);
  return r;
}

}  // namespace

Gva test_address(PagingMode mode) {
  const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
  return long_mode ? Gva(0xffff'9234'0060'3128) : Gva(0xc060'3128);
}

Machine::Machine(const CpuModel& model) : cpu_(std::make_unique<VcpuState>(0, model)) {
  host_ = HostMemory::create(4 * kRamBytes).value();
  p2m_ = std::make_unique<P2m>(*host_);
  if (!p2m_->add_slot(Gpa(0), kRamBytes).ok()) std::abort();
}

absl::StatusOr<std::unique_ptr<Machine>> Machine::create(absl::string_view backend,
                                                         const CpuModel& model) {
  const absl::string_view name = backend.substr(0, backend.find(':'));
  if (absl::c_none_of(backends(), [&](const BackendInfo& b) { return b.name == name; })) {
    return absl::NotFoundError(absl::StrCat("backend '", backend, "' is not registered"));
  }
  std::unique_ptr<Machine> m(new Machine(model));
  auto made = create_backend(backend, *m->p2m_);
  if (!made.ok()) return made.status();
  m->backend_ = *std::move(made);
  m->backend_->attach(*m->cpu_);
  return m;
}

std::unique_ptr<Machine> Machine::memory_only() {
  return std::unique_ptr<Machine>(new Machine(CpuModel{}));
}

Machine::~Machine() {
  if (backend_ != nullptr) backend_->detach(*cpu_);
}

uint64_t Machine::entry(Gpa at) const {
  const uint8_t* bytes = p2m_->ram_at(at);
  if (bytes == nullptr) return 0;
  return entry_bytes_ == 8 ? load_entry<uint64_t>(bytes) : load_entry<uint32_t>(bytes);
}

void Machine::store(Gpa at, uint64_t value) {
  if (backend_ != nullptr) {
    if (backend_->write_physical(*cpu_, at, value, entry_bytes_) != StoreResult::kDone) std::abort();
    return;
  }
  p2m_->back(at);
  std::memcpy(p2m_->ram_at(at), &value, entry_bytes_);
}

void Machine::update(Gpa at, uint64_t value, Gva va) {
  if (entry(at) == value) return;
  store(at, value);
  if (backend_ != nullptr) backend_->invlpg(*cpu_, va);
}

void Machine::set_controls(PagingMode mode, const ControlSet& c) {
  const Controls next = controls_of(mode, c);
  const PagingRules before = cpu_->rules;
  Controls& now = cpu_->controls;
  now.cr0 = next.cr0;
  now.cr4 = next.cr4;
  now.efer = next.efer;
  cpu_->update_rules();
  entry_bytes_ = mode == PagingMode::kLegacy32 ? 4 : 8;
  if (backend_ != nullptr) backend_->controls_changed(*cpu_, before);
}

void Machine::set_step(bool ac, uint32_t pkru) {
  cpu_->controls.ac = ac;
  cpu_->controls.pkru = pkru;
  update_access_rules(cpu_->rules, ac, pkru);
}

void Machine::load_cr3(uint64_t value) {
  cpu_->controls.cr3 = value;
  if (cpu_->rules.mode == PagingMode::kPae && !load_pdptes(*p2m_, cpu_->controls, cpu_->rules)) {
    std::abort();
  }
  if (backend_ != nullptr) backend_->cr3_loaded(*cpu_, true);
}

Path Machine::map_path(PagingMode mode, Gva va, uint64_t root) {
  entry_bytes_ = mode == PagingMode::kLegacy32 ? 4 : 8;
  const unsigned index_bits = mode == PagingMode::kLegacy32 ? 10 : 9;
  Path path;
  path.va = va;
  path.top = top_level(mode);
  uint64_t table = root;
  for (unsigned level = path.top; level >= 1; --level) {
    const uint64_t index =
        va.value() >> (12 + index_bits * (level - 1)) & ((uint64_t{1} << index_bits) - 1);
    path.entry[level] = Gpa(table + index * entry_bytes_);
    table = level == 2 ? kRegion : table + 0x1000;
    const bool pointer_register = mode == PagingMode::kPae && level == 3;
    if (level >= 2) store(path.entry[level], table | (pointer_register ? 1 : kPermissive));
  }
  load_cr3(root);
  return path;
}

}  // namespace gnomon::access_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/threads/shared_vm.h"

#include "gnomon/memory/bytes.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/x86/entry_bits.h"

namespace gnomon::threads {
namespace {

constexpr uint64_t kTable = pte::kPresent | pte::kWritable | pte::kUser | pte::kAccessed;
constexpr uint64_t kPage = pte::kPresent | pte::kWritable | pte::kUser;
constexpr uint64_t kHostBytes = 32 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<SharedVm>> SharedVm::create(absl::string_view spec, unsigned vcpus) {
  absl::StatusOr<std::unique_ptr<HostMemory>> host = HostMemory::create(kHostBytes);
  if (!host.ok()) return host.status();
  std::unique_ptr<SharedVm> vm(new SharedVm(*std::move(host)));
  SlotOptions options;
  options.lazy = false;
  options.placement = Placement::kScattered;
  absl::Status status = vm->p2m_.add_slot(Gpa(0), kFrames * bytes_of(PageSize::k4K), options);
  if (!status.ok()) return status;
  vm->build_tables();
  vm->p2m_.lock().set_threaded(true);
  absl::StatusOr<std::unique_ptr<Backend>> backend = create_backend(spec, vm->p2m_);
  if (!backend.ok()) return backend.status();
  vm->backend_ = *std::move(backend);
  const absl::StatusOr<TlbPreset> preset = find_tlb_preset("skylake");
  if (!preset.ok()) return preset.status();
  for (uint32_t i = 0; i < vcpus; ++i) {
    absl::StatusOr<VcpuParts> parts = VcpuParts::from(*preset, i);
    if (!parts.ok()) return parts.status();
    vm->vcpus_.push_back(
        std::make_unique<Vcpu<Backend>>(*vm->backend_, vm->p2m_, *std::move(parts)));
    Vcpu<Backend>& vcpu = *vm->vcpus_.back();
    if (!vcpu.write_cr3(Gpa::from_frame(kRoots[i % 2]).value()) ||
        !vcpu.write_controls(cr0::kPE | cr0::kPG | cr0::kWP, cr4::kPAE, efer::kLME)) {
      return absl::InternalError("the vCPU refuses to turn paging on");
    }
  }
  return vm;
}

void SharedVm::build_tables() {
  const auto put = [&](uint64_t frame, uint64_t word, uint64_t value) {
    store_bytes(p2m_.ram_at(Gpa(frame * bytes_of(PageSize::k4K) + word * 8)), value, 8);
  };
  const auto table = [](uint64_t frame) { return Gpa::from_frame(frame).value() | kTable; };
  for (unsigned r = 0; r < 2; ++r) {
    put(kRoots[r], 0, table(kRoots[r] + 1));
    put(kRoots[r] + 1, 0, table(kDirectories[r]));
    put(kDirectories[r], 0, table(kLeafTables[r]));
  }
  for (const uint64_t leaf : kLeafTables) {
    for (uint64_t i = 0; i < kPages; ++i)
      put(leaf, i, Gpa::from_frame(kFirstData + i).value() | kPage);
    for (uint64_t i = 0; i < kVolatilePages; ++i) {
      put(leaf, kPages + i, Gpa::from_frame(kFirstVolatile + i).value() | kPage);
    }
  }
  for (uint64_t f = kFirstData; f < kFirstVolatile + kVolatilePages; ++f) put(f, 0, f);
}

bool SharedVm::is_legal(uint64_t i, uint64_t tag) {
  if (i >= kPages) return tag == 0 || tag == kFirstVolatile + (i - kPages);
  return tag >= kFirstData && tag < kFirstVolatile && tag % kPages == i;
}

// The lock is held, so that nobody has got the frame yet; its next owner gets it zeroed.
void SharedVm::poison(P2mEntry left) {
  if (!left.is_ram() || host_->owner(left.frame()) != FrameOwner::kFree) return;
  for (uint64_t at = 0; at < bytes_of(PageSize::k4K); at += 8) {
    store_bytes(host_->at<uint8_t>(Hpa(left.frame().value() + at)), kPoison, 8);
  }
}

void SharedVm::remap(uint64_t frame) {
  const VmGuard guard(p2m_.lock());
  const P2mEntry before = p2m_.lookup(Gpa::from_frame(frame));
  if (p2m_.remap(Gpa::from_frame(frame)).ok()) poison(before);
}

void SharedVm::balloon(uint64_t frame) {
  const VmGuard guard(p2m_.lock());
  const P2mEntry before = p2m_.lookup(Gpa::from_frame(frame));
  if (p2m_.balloon(Gpa::from_frame(frame)).ok()) poison(before);
}

void SharedVm::deflate(uint64_t frame) {
  const VmGuard guard(p2m_.lock());
  (void)p2m_.deflate(Gpa::from_frame(frame));
}

}  // namespace gnomon::threads

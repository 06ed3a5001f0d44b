// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "absl/strings/str_format.h"
#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {
namespace {

constexpr uint64_t kImplicitTextBytes = 64 << 10;
constexpr uint64_t kMostStack = 8 << 20;             // Linux: RLIMIT_STACK
constexpr uint64_t kStackGuard = 256 * kFrameBytes;  // Linux: stack_guard_gap

/// What a mapping must have one of, and what it gets when it has none. Indexed by AccessOp.
struct Needed {
  MapFlags any_of;
  MapFlags given;
};
constexpr std::array<Needed, 3> kNeeded = {{
    {kMapRead | kMapWrite | kMapExec, kMapRead},
    {kMapWrite, kMapWrite},
    {kMapExec, kMapExec},
}};
const Needed& needed(AccessOp op) { return kNeeded[static_cast<size_t>(op)]; }
bool permits(const Vma& vma, AccessOp op) { return (vma.flags & needed(op).any_of) != 0; }

/// A gap around `va`, cut to the aligned piece of `bytes` around it.
Range free_piece(const VmaMap& vmas, uint64_t va, uint64_t bytes) {
  const uint64_t base = va & ~(bytes - 1);
  return {std::max(base, vmas.end_below(va)),
          std::min(base + bytes, vmas.start_above(va, kUserEnd))};
}

}  // namespace

absl::Status Kernel::fault(unsigned cpu, Gva va, AccessOp op, const Translation& fault) {
  if (cpu < processors_.size() && processors_[cpu].loaded == nullptr) {
    // The process died or started anew on another processor: it tries again in what it has now.
    return current(cpu).status();
  }
  const absl::StatusOr<Mm*> mm = current(cpu);
  if (!mm.ok()) return mm.status();
  if (va.value() >= kUserEnd || (fault.error_code & pf::kNonCanonical) != 0) {
    return absl::InvalidArgumentError(
        "not a user address: it is in the kernel's half or not canonical");
  }
  enter(processors_[cpu], EntryCause::kFault);
  absl::Status s = resolve(processors_[cpu], **mm, va.value() & ~(kFrameBytes - 1), op);
  return s.ok() ? tables_.failure() : s;
}

absl::Status Kernel::grant(unsigned cpu, Gva va, AccessOp op) {
  const absl::StatusOr<Mm*> mm = current(cpu);
  if (!mm.ok()) return mm.status();
  if (va.value() >= kUserEnd) return absl::InvalidArgumentError("not a user address");
  return grant_in(processors_[cpu], **mm, va.value() & ~(kFrameBytes - 1), op);
}

absl::Status Kernel::grant_in(Processor& p, Mm& mm, uint64_t va, AccessOp op) {
  const absl::StatusOr<Vma*> vma = mapping_for(mm, va, op);
  if (!vma.ok()) return vma.status();
  if (!permits(**vma, op) && (*vma)->implicit) return widen(p, mm, **vma, va, op).status();
  if (!permits(**vma, op)) {
    const Range whole{(*vma)->start, (*vma)->end};
    mm.vmas.update(whole.start, whole.end, [&](Vma& v) { v.flags |= needed(op).given; });
  }
  return absl::OkStatus();
}

absl::StatusOr<Vma*> Kernel::implicit_mapping(Mm& mm, uint64_t va, AccessOp op) {
  const bool text = op == AccessOp::kFetch;
  const Range piece = free_piece(mm.vmas, va, text ? kImplicitTextBytes : kBlockBytes);
  if (absl::Status s = room(mm, piece, 1); !s.ok()) return s;
  Vma vma;
  vma.start = piece.start;
  vma.end = piece.end;
  vma.flags = kMapRead | (text ? kMapExec : kMapWrite);
  vma.implicit = true;
  if (text) {
    vma.object = cache_.implicit_text(mm.key.group);
    vma.offset = piece.start;
  }
  mm.vmas.insert(vma);
  return mm.vmas.find(va);
}

/// The mapping around the address; a stack grows to it, or one is made.
absl::StatusOr<Vma*> Kernel::mapping_for(Mm& mm, uint64_t va, AccessOp op) {
  Vma* vma = mm.vmas.at_or_above(va);
  if (vma != nullptr && vma->contains(va)) return vma;
  if (vma != nullptr && (vma->flags & kMapStack) != 0 && vma->end - va <= kMostStack) {
    const uint64_t below = mm.vmas.end_below(va);
    const Vma* other = below == 0 ? nullptr : mm.vmas.find(below - 1);
    const bool clear =
        other == nullptr || (other->flags & kMapStack) != 0 || va - below >= kStackGuard;
    if (clear && (vma->object == 0 || vma->offset >= vma->start - va)) {
      mm.vmas.grow_down(vma->start, va);
      return mm.vmas.find(va);
    }
  }
  return implicit_mapping(mm, va, op);
}

/// An implicit mapping takes on another right, in a piece around the address.
absl::StatusOr<Vma*> Kernel::widen(Processor& p, Mm& mm, Vma& vma, uint64_t va, AccessOp op) {
  const uint64_t base = va & ~(kImplicitTextBytes - 1);
  const Range piece{std::max(base, vma.start), std::min(base + kImplicitTextBytes, vma.end)};
  if (absl::Status s = room(mm, piece, 0); !s.ok()) return s;
  if (!split_edges(p, mm, piece)) return out_of_memory();
  mm.vmas.update(piece.start, piece.end, [&](Vma& v) { v.flags |= needed(op).given; });
  return mm.vmas.find(va);
}

absl::Status Kernel::resolve(Processor& p, Mm& mm, uint64_t va, AccessOp op) {
  absl::StatusOr<Vma*> vma = mapping_for(mm, va, op);
  if (!vma.ok()) return vma.status();
  if (!permits(**vma, op)) {
    if (!(*vma)->implicit) {
      ++stats_[GuestStat::kFaultsRefused];
      return absl::PermissionDeniedError(absl::StrFormat("the mapping [0x%x, 0x%x) forbids a %s",
                                                         (*vma)->start, (*vma)->end,
                                                         to_string(Access{op, Privilege::kUser})));
    }
    vma = widen(p, mm, **vma, va, op);
    if (!vma.ok()) return vma.status();
  }
  const Slot slot = tables_.walk(*p.cpu, mm.root, va);
  if (holds_page(slot.entry)) return upgrade(p, mm, **vma, slot, va, op);
  return fill(p, **vma, slot, va, op);
}

/// The page is there, with fewer rights than its mapping has.
absl::Status Kernel::upgrade(Processor& p, Mm& mm, Vma& vma, const Slot& slot, uint64_t va,
                             AccessOp op) {
  uint64_t entry = (slot.entry & ~(kRightsBits & ~pte::kWritable)) | rights_bits(vma.flags);
  const bool needs_write = op == AccessOp::kWrite && !is_writable(entry);
  const bool needs_exec = op == AccessOp::kFetch && (slot.entry & pte::kNoExecute) != 0;
  if (is_present(slot.entry) && !needs_write && !needs_exec) {
    return absl::InternalError(
        absl::StrFormat("a %s faulted although the entry 0x%x at %s permits it",
                        to_string(Access{op, Privilege::kUser}), slot.entry, to_string(slot.at)));
  }
  if (needs_write && !vma.shared()) return copy_on_write(p, mm, vma, slot, va);
  if (needs_write) entry |= pte::kWritable | pte::kDirty;
  ++stats_[GuestStat::kFaultsRights];
  tables_.store(*p.cpu, slot.at, entry);
  return absl::OkStatus();
}

}  // namespace gnomon::guest

// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_format.h"
#include "traces/replay/machine_impl.h"

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);
constexpr uint64_t kWordBytes = sizeof(uint64_t);
constexpr unsigned kMostDeviceRegions = 64;

}  // namespace

absl::Status Machine::guest_event(MachineCpu& cpu, const TraceEvent& event) {
  const auto refused = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: %s", info(event.kind).name, what));
  };
  const auto is_page = [&](Gpa gpa) {
    return gpa.offset_in(PageSize::k4K) == 0 && p2m_->frame_index(gpa) != P2m::kNoIndex;
  };
  switch (event.kind) {
    case EventKind::kTableWrite:
    case EventKind::kTableRead: {
      // Tables may be written and read in any size up to a word, within one page.
      const uint64_t offset = event.address & (kFrameBytes - 1);
      if (event.flags == 0 || event.flags > kWordBytes || offset + event.flags > kFrameBytes) {
        return refused("not 1 to 8 bytes within one page");
      }
      VcpuState& state = cpu.vcpu().state();
      const Gpa at(event.address);
      uint64_t value = event.value;
      if (event.kind == EventKind::kTableRead) {
        const bool done = mmu_->read_physical(state, at, event.flags, value);
        return done ? absl::OkStatus() : refused("no memory there");
      }
      const StoreResult result = cpu.store_to_table(at, value, event.flags);
      if (result == StoreResult::kDone) return absl::OkStatus();
      if (result != StoreResult::kRefused) return refused("no memory there");
      return absl::FailedPreconditionError(
          absl::StrFormat("%s: %s refuses it", info(event.kind).name, spec()));
    }
    case EventKind::kCr3:
      return cpu.load_cr3(event.value) ? absl::OkStatus() : refused("#GP: not a value for CR3");
    case EventKind::kInvlpg: cpu.invlpg(Gva(event.address)); return absl::OkStatus();
    case EventKind::kInvpcid:
      if (event.flags <= 3 && event.value <= 0xfff &&
          cpu.invpcid(static_cast<InvpcidType>(event.flags), static_cast<uint16_t>(event.value),
                      Gva(event.address))) {
        return absl::OkStatus();
      }
      return refused("#GP: no such type or PCID");
    case EventKind::kControls:
      return cpu.load_controls(event.value, event.extra, event.address)
                 ? absl::OkStatus()
                 : refused("#GP: not values for CR0, CR4 and EFER");
    case EventKind::kRights:
      if (event.flags > 1 || event.value >> 32 != 0) return refused("not values for EFLAGS.AC and PKRU");
      cpu.load_rights(event.flags != 0, static_cast<uint32_t>(event.value));
      return absl::OkStatus();
    case EventKind::kClearPage:
    case EventKind::kCopyPage: {
      const bool copy = event.kind == EventKind::kCopyPage;
      const Gpa page(event.address);
      const Gpa from(copy ? event.value : event.address);
      if (!is_page(page) || !is_page(from)) return refused("not a page of the guest's memory");
      copy ? cpu.copy_page(from, page) : cpu.clear_page(page);
      // Only the host can be in the way.
      return p2m_->lookup(page).is_ram() ? absl::OkStatus() : refused("no memory there");
    }
    case EventKind::kStoreValue: {
      const unsigned size = event.flags & 15;
      if (event.flags > 31 || size > kWordBytes || (event.address & (kFrameBytes - 1)) + size > kFrameBytes) {
        return refused("not 0 to 8 bytes within one page");
      }
      cpu.store_value(Gva(event.address), event.value, size, (event.flags & 16) != 0);
      return absl::OkStatus();
    }
    case EventKind::kContents:
      of_machine_ = true;
      if (event.address % kWordBytes != 0 || p2m_->frame_index(Gpa(event.address)) == P2m::kNoIndex) {
        return refused("not a word of the guest's memory");
      }
      memory_->set_contents(Gpa(event.address), event.value);
      return absl::OkStatus();
    case EventKind::kDevices: {
      if (++device_regions_ > kMostDeviceRegions) return refused("too many of them");
      // The recorded machine had its devices before anything was counted.
      const Counters before = totals();
      if (const absl::Status s = p2m_->add_mmio(Gpa(event.address), event.length); !s.ok()) {
        return refused(s.message());
      }
      counters_before_ += difference(totals(), before);
      return absl::OkStatus();
    }
    case EventKind::kGuest: return absl::OkStatus();
    default: return refused("not an event of a whole guest");
  }
}

}  // namespace gnomon

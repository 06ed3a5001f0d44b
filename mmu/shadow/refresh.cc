// SPDX-License-Identifier: Apache-2.0
// One leaf entry brought in line with the guest's entry, without an access that asks for it: after a trapped
// write, while syncing, and ahead of need.
#include "mmu/defects.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

struct GuestLeaf {
  bool usable = false;  ///< present, well-formed, accessed
  Gpa frame;
  Rights rights = 0;
  uint8_t key = 0;
  bool global = false;
  bool dirty = false;
};

template <class Format>
GuestLeaf decode(const uint8_t* at, const PagingRules& rules) {
  const auto e = static_cast<typename Format::Entry>(load_entry<typename Format::Entry>(at));
  const bool accessed = (e & pte::kAccessed) != 0 || defect(Defect::kAccessedNotSet);
  if (!Format::present(e) || Format::malformed(e, 1, true, rules) || !accessed) {
    return {};
  }
  return {true,
          Gpa(Format::leaf_base(e, 1)),
          Format::rights(e, 1, rules),
          Format::key(e),
          Format::global(e, rules),
          (e & pte::kDirty) != 0};
}

GuestLeaf decode_by_mode(PagingMode mode, const uint8_t* at, const PagingRules& rules) {
  switch (mode) {
    case PagingMode::kLegacy32: return decode<Legacy32Format>(at, rules);
    case PagingMode::kPae: return decode<PaeFormat>(at, rules);
    case PagingMode::kLevel4: return decode<Long4>(at, rules);
    case PagingMode::kLevel5: return decode<Long5>(at, rules);
    case PagingMode::kOff: break;
  }
  return {};
}

}  // namespace

const PagingRules& ShadowMmu::rules_for(Role role) const {
  auto& rules = rules_by_role_[role.mode << 2 | role.nxe << 1 | role.pse];
  if (!rules) {
    Controls c;
    const PagingMode mode = role.paging_mode();
    c.cr0 = cr0::kPE | (mode == PagingMode::kOff ? 0 : cr0::kPG);
    const bool wide = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
    c.cr4 = (role.pse ? cr4::kPSE : 0) | cr4::kPGE |
            (wide || mode == PagingMode::kPae ? cr4::kPAE : 0) |
            (mode == PagingMode::kLevel5 ? cr4::kLA57 : 0);
    c.efer = (role.nxe ? efer::kNXE : 0) | (wide ? efer::kLMA | efer::kLME : 0);
    rules = derive_rules(c, model_);
  }
  return *rules;
}

Gpa ShadowMmu::guest_entry_of(const ShadowPage& page, unsigned index) const {
  const bool legacy = page.role.paging_mode() == PagingMode::kLegacy32;
  uint64_t offset;
  if (!legacy) {
    offset = index * 8;
  } else if (page.role.level == 1) {
    offset = (page.role.quadrant * kEntries + index) * 4;
  } else {
    offset = (page.role.quadrant * (kEntries / 2) + index / 2) * 4;  // two of ours for each 4M
  }
  return Gpa::from_frame(page.gfn).with_offset(PageSize::k4K, offset);
}

void ShadowMmu::refresh_entry(ShadowPage& page, unsigned index, Refresh how) {
  const uint64_t old = page.entries[index];
  if (how == Refresh::kExisting && !is_present(old)) return;
  const uint8_t* at = p2m_.ram_at(guest_entry_of(page, index));
  const GuestLeaf leaf =
      at == nullptr ? GuestLeaf{} : decode_by_mode(page.role.paging_mode(), at, rules_for(page.role));
  const auto give_up = [&] {
    if (!is_present(old)) return;
    ++counters_[Counter::kSyncDroppedEntries];
    pages_.drop(page, index);
  };
  if (!leaf.usable || is_mmio(old)) return give_up();
  const P2mEntry e = p2m_.lookup(leaf.frame);
  if (!e.is_ram()) return give_up();
  const uint32_t frame = p2m_.frame_index(leaf.frame);
  if (options_.directory == DirectoryPolicy::kFullTrap && pages_.has_shadow(frame)) return give_up();

  Rights rights = leaf.rights & page.role.access;
  const bool see_next_store = !leaf.dirty && !lazy_flags_for(Gpa::from_frame(page.gfn));
  if (see_next_store || !e.writable() || pages_.tracked(frame) ||
      (agile_ != nullptr && agile_->unwritten(frame))) {
    rights &= ~kRightWrite & kAllRights;
  }
  const LeafParts parts{.frame = e.frame(),
                        .rights = rights,
                        .key = leaf.key,
                        .global = leaf.global,
                        .accessed = how != Refresh::kWritten,
                        .dirty = leaf.dirty};
  if (!is_present(old)) ++counters_[Counter::kPrefetched];
  pages_.set_leaf(page, index, make_leaf(parts, 1), frame);
}

}  // namespace gnomon::shadow

// SPDX-License-Identifier: Apache-2.0
#include "tests/vcpu/random_guest.h"

#include <gtest/gtest.h>

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace gnomon::vcpu_test {
namespace {

void add_slots(P2m& p2m, PageSize backing) {
  SlotOptions options;
  ASSERT_TRUE(p2m.add_slot(Gpa(0), kBig, options).ok());
  options.backing = backing;
  ASSERT_TRUE(p2m.add_slot(Gpa(kBig), kBigBytes, options).ok());
  options.rom = true;
  options.backing = PageSize::k4K;
  ASSERT_TRUE(p2m.add_slot(Gpa(kRom), 16 * kPage, options).ok());
  ASSERT_TRUE(p2m.add_mmio(Gpa(kDevice), kPage).ok());
}

}  // namespace

RandomGuest::RandomGuest(absl::string_view spec, absl::string_view preset, const PagingShape& shape,
                         uint64_t seed, Counts& counts)
    : direct_(spec == "direct"),
      lazy_(absl::StrContains(spec, "flags=lazy")),
      shape_(shape),
      random_(seed),
      n_(counts) {
  add_slots(p2m_, PageSize::k2M);
  add_slots(mirror_, PageSize::k4K);
  backend_ = create_backend(spec, p2m_).value();
  calm_ = static_cast<unsigned>(random_.below(95));
  model_.accessed_before_fault = random_.percent(50);
  const auto cpus = static_cast<uint32_t>(1 + random_.below(3));
  choose_pages();
  for (uint32_t i = 0; i < cpus; ++i) {
    cpus_.push_back(std::make_unique<Vcpu<Backend>>(
        *backend_, p2m_, VcpuParts::from(find_tlb_preset(preset).value(), i, model_).value()));
    knows_.emplace_back(shape_, pages_, mirror_);
  }
  for (unsigned level = 1; level <= shape.levels; ++level) {
    for (uint64_t t = 0; t < kTablesPerLevel; ++t) {
      for (const uint64_t page : pages_) {
        store(0, table(level, t) + shape.index(page, level) * shape.entry_bytes, entry(level),
              shape.entry_bytes);
      }
    }
  }
  for (uint32_t i = 0; i < cpus; ++i) {
    EXPECT_TRUE(cpu(i).write_cr3(table(shape.levels, random_.below(kTablesPerLevel))));
    EXPECT_TRUE(cpu(i).write_controls(cr0::kPE | cr0::kPG | cr0::kWP, shape.cr4, shape.efer));
  }
}

std::string RandomGuest::run(unsigned steps) {
  for (step_ = 0; step_ < steps && problem_.empty(); ++step_) {
    step();
    if (step_ % 16 == 15) audit();
    if (step_ % 64 == 63) compare_tables(/*all=*/false);
  }
  if (problem_.empty()) compare_tables(true);
  if (problem_.empty()) return {};
  std::string text = absl::StrCat("step ", step_, ": ", problem_, "\nlast actions:");
  for (const std::string& a : actions_) absl::StrAppend(&text, "\n  ", a);
  return text;
}

void RandomGuest::add_hits() {
  for (auto& c : cpus_) {
    n_.hits += c->counters()[Counter::kTlbHitsL1] + c->counters()[Counter::kTlbHitsL2];
  }
}

void RandomGuest::before_change() {
  if (observed_) return;
  for (size_t i = 0; i < cpus_.size(); ++i) {
    if (paging(i)) knows_[i].observe(controls(i), model_);
  }
  observed_ = true;
}

void RandomGuest::mirror_store(uint64_t gpa, uint64_t value, unsigned size) {
  mirror_.back(Gpa(gpa));
  store_bytes(mirror_.ram_at(Gpa(gpa)), value, size);
  written_[gpa >> 12] = true;
  if (is_table(gpa)) changed();
}

void RandomGuest::store(size_t i, uint64_t gpa, uint64_t value, unsigned size) {
  before_change();
  note(absl::StrFormat("cpu %d table write %x = %x (%d)", i, gpa, value, size));
  const StoreResult got = backend_->write_physical(cpu(i).state(), Gpa(gpa), value, size);
  ++n_.table_writes;
  if (got == StoreResult::kRefused && direct_) return void(++n_.refused);
  const bool ballooned = mirror_.lookup(Gpa(gpa)).state() == FrameState::kBallooned;
  if (got != (ballooned ? StoreResult::kNotBacked : StoreResult::kDone)) fail("store result");
  if (got == StoreResult::kDone) mirror_store(gpa, value, size);
}

void RandomGuest::load_cr3(size_t i, uint64_t value) {
  before_change();
  changed();
  note(absl::StrFormat("cpu %d cr3 = %x", i, value));
  const bool flushes = !pcide(i) || (value & cr3::kNoFlush) == 0;
  if (!cpu(i).write_cr3(value)) {
    if (shape_.levels != 3 && paging(i)) fail("#GP for CR3");
    return;
  }
  if (flushes) knows_[i].flush_context(pcid(i));
}

void RandomGuest::switch_space(size_t i) {
  uint64_t value = table(shape_.levels, random_.below(kTablesPerLevel));
  if (pcide(i)) value |= random_.below(3);
  if (pcide(i) && random_.percent(60)) value |= cr3::kNoFlush;
  load_cr3(i, value);
}

void RandomGuest::change_controls(size_t i) {
  before_change();
  changed();
  if (random_.percent(25)) return cpu(i).set_ac(random_.percent(50));
  if (random_.percent(25))
    return cpu(i).write_pkru(static_cast<uint32_t>(random_.next() & random_.next() & 0xff));
  Controls c = controls(i);
  static constexpr std::array<uint64_t, 5> kBits = {cr4::kSMEP, cr4::kSMAP, cr4::kPKE, cr4::kPGE,
                                                    cr4::kPCIDE};
  const bool was_paging = paging(i);
  if (!was_paging || (random_.percent(5) && !pcide(i))) {
    c.cr0 ^= cr0::kPG;
  } else if (random_.percent(50)) {
    c.cr0 ^= cr0::kWP;
  } else {
    const uint64_t bit = random_.pick(kBits);
    if (bit != cr4::kPCIDE || random_.percent(20)) c.cr4 ^= bit;
  }
  note(absl::StrFormat("cpu %d controls cr0 %x cr4 %x", i, c.cr0, c.cr4));
  const uint64_t cr4_before = controls(i).cr4;
  if (!cpu(i).write_controls(c.cr0, c.cr4, c.efer)) return;
  const uint64_t flipped = cr4_before ^ c.cr4;
  if (paging(i) != was_paging || (flipped & cr4::kPGE) != 0 ||
      (flipped & cr4_before & cr4::kPCIDE) != 0) {
    knows_[i].flush_all();
  }
}

void RandomGuest::audit() {
  const std::vector<AuditFinding> findings = backend_->audit();
  if (!findings.empty())
    fail(absl::StrCat("audit, invariant ", findings[0].invariant, ": ", findings[0].text));
}

void RandomGuest::step() {
  const size_t i = random_.below(cpus_.size());
  const uint64_t what = random_.percent(calm_) ? 0 : random_.below(1000);
  if (!paging(i) && random_.percent(10)) return change_controls(i);
  if (what < 750) return access(i);
  if (what < 900) {
    const unsigned level =
        1 + static_cast<unsigned>(random_.percent(60) ? 0 : random_.below(shape_.levels));
    const uint64_t to = table(level, random_.below(kTablesPerLevel));
    const uint64_t at = to + shape_.index(random_.pick(pages_), level) * shape_.entry_bytes;
    return store(i, at, entry(level), shape_.entry_bytes);
  }
  if (what < 940) return switch_space(i);
  if (what < 950) {
    const uint64_t way = random_.below(12);
    return flush(i, random_.below(pages_.size()), way);
  }
  if (what < 975) return change_controls(i);
  change_host();
}

}  // namespace gnomon::vcpu_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/guest/program.h"

namespace gnomon::guest_test {

// One frame holds one thing: (1, token), (2, a page of an object as a hash), (3, 0) zeros never
// written.
void RandomProgram::check_leaf(uint32_t process, uint64_t va, uint64_t entry) {
  const uint64_t frame = (entry & pte::kFrameMask) >> 12;
  ASSERT_GE(va, Model::kBase);
  const uint64_t number = (va - Model::kBase) / kPage;
  ASSERT_LT(number, Model::kPages);
  const std::optional<Model::Page>& page = model_.spaces[process][number];
  ASSERT_TRUE(page) << "process " << process << " has an entry for page " << number
                    << " and no mapping";
  const bool present = (entry & pte::kPresent) != 0;
  EXPECT_EQ(present, (page->flags & (kRw | kMapExec)) != 0);
  if (present && (entry & pte::kWritable) != 0) {
    EXPECT_NE(page->flags & kMapWrite, 0u) << "page " << number << " of " << process;
  }
  if (present && (entry & pte::kNoExecute) == 0) EXPECT_NE(page->flags & kMapExec, 0u);
  ASSERT_EQ(machine_.peek(Gpa(frame << 12)), model_.value(process, number))
      << "page " << number << " of process " << process;
  std::pair<uint64_t, uint64_t> id{3, 0};
  if (page->own) {
    id = {1, page->own->token};
    const auto [it, first] = token_frame_.emplace(page->own->token, frame);
    ASSERT_EQ(it->second, frame) << "a page shared by fork has two frames";
  } else if (page->object.first != 0) {
    id = {2, page->object.first << 32 | page->object.second};
    const auto [it, first] = object_frame_.emplace(page->object, frame);
    ASSERT_EQ(it->second, frame) << "a page of an object has two frames";
  }
  const auto [it, first] = frames_.emplace(frame, id);
  ASSERT_EQ(it->second, id) << "frame " << frame << " holds two different pages";
  if (id.first != 2) own_frames_.insert(frame);
}

/// Returns the number of tables.
uint64_t RandomProgram::check_table(uint32_t process, uint64_t table, unsigned level, uint64_t va) {
  uint64_t tables = 1;
  const unsigned shift = 12 + 9 * (level - 1);
  for (uint64_t i = 0; i < (level == 4 ? 256 : 512); ++i) {
    const uint64_t e = machine_.peek(Gpa(table + 8 * i));
    const uint64_t at = va + (i << shift);
    if (e == 0) continue;
    if (level == 1) {
      check_leaf(process, at, e);
    } else if ((e & pte::kLarge) != 0) {
      EXPECT_EQ(level, 2u);
      for (uint64_t k = 0; k < 512; ++k) check_leaf(process, at + k * kPage, e + k * kPage);
    } else {
      tables += check_table(process, e & pte::kFrameMask, level - 1, at);
    }
    if (testing::Test::HasFatalFailure()) break;
  }
  return tables;
}

/// What a processor does with its TLB is what the tables say.
void RandomProgram::check_tlb(unsigned cpu) {
  const uint64_t root = roots_[running_[cpu]];
  for (int i = 0; i < 8; ++i) {
    const uint64_t page = random_.below(3) * 512 + random_.below(24);
    const AccessOp op = static_cast<AccessOp>(random_.below(3));
    const Translation t =
        machine_.cpus[cpu]->vcpu().access(Gva(Model::address(page)), {op, Privilege::kUser});
    unsigned level = 0;
    const uint64_t e = machine_.entry(root, Model::address(page), &level);
    const bool allowed = (e & pte::kPresent) != 0 &&
                         (op != AccessOp::kWrite || (e & pte::kWritable) != 0) &&
                         (op != AccessOp::kFetch || (e & pte::kNoExecute) == 0);
    ASSERT_EQ(t.ok(), allowed) << to_string(t) << " page " << page;
    if (!allowed) continue;
    const uint64_t frame = ((e & pte::kFrameMask) >> 12) + (level == 2 ? page % 512 : 0);
    ASSERT_EQ(t.gpa.frame(), frame) << "a stale translation of page " << page;
  }
}

void RandomProgram::check() {
  frames_.clear();
  own_frames_.clear();
  token_frame_.clear();
  object_frame_.clear();
  uint64_t tables = 0;
  for (const auto& [process, space] : model_.spaces) {
    tables += check_table(process, roots_[process], 4, 0);
    if (testing::Test::HasFatalFailure()) return;
  }
  // The page of zeros belongs to the kernel.
  uint64_t zero = 0;
  for (const uint64_t frame : own_frames_) zero += frame == zero_frame_;
  ASSERT_EQ(machine_.kernel->frames_in_use(),
            base_ + tables + own_frames_.size() - zero + model_.cached());
  ASSERT_LE(machine_.kernel->frames_in_use(), machine_.kernel->frames_end());
  check_tlb(0);
  check_tlb(1);
}

}  // namespace gnomon::guest_test

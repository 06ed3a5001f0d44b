// SPDX-License-Identifier: Apache-2.0
//
// One load, store or fetch, and what it must do.
#include <algorithm>
#include <array>

#include "absl/strings/str_format.h"
#include "tests/vcpu/random_guest.h"

namespace gnomon::vcpu_test {

void RandomGuest::access(size_t i) {
  // Mostly a few pages, so that caches have something to remember.
  if (random_.percent(5)) hot_ = random_.below(pages_.size());
  const size_t n = random_.percent(30) ? random_.below(pages_.size())
                                       : (hot_ + random_.below(3)) % pages_.size();
  const auto op = static_cast<AccessOp>(random_.below(3));
  const Access how{
      op, random_.pick(std::array{Privilege::kUser, Privilege::kUser, Privilege::kSupervisor,
                                  Privilege::kSupervisor, Privilege::kImplicit})};
  const bool crosses = !direct_ && paging(i) && op != AccessOp::kFetch && n + 1 < pages_.size() &&
                       pages_[n + 1] == pages_[n] + kPage && random_.percent(15);
  make_fresh(i, n);
  if (crosses) make_fresh(i, n + 1);
  if (crosses) make_fresh(i, n);
  before_change();
  uint64_t va = pages_[n] | (crosses ? kPage - 1 - random_.below(7) : random_.below(512) * 8);
  if (!crosses && random_.percent(50)) {
    const auto level = 1 + static_cast<unsigned>(random_.below(shape_.levels));
    va = pages_[n] | shape_.index(random_.pick(pages_), level) * shape_.entry_bytes;
  }
  if (!paging(i)) va = va % (kBig + kBigBytes);
  const NaiveResult first = naive_.translate(controls(i), model_, Gva(va), how, false);
  if (op == AccessOp::kWrite && !paging(i) && first.ok() && is_table(first.gpa.value()) && direct_)
    return;
  NaiveResult second;
  const uint64_t next = pages_[crosses ? n + 1 : n];
  if (crosses) {
    second = naive_.translate(controls(i), model_, Gva(next), how, false);
    if (how.write() && (is_table(first.gpa.value()) || is_table(second.gpa.value()))) return;
  }
  unsigned size = crosses ? 8 : shape_.entry_bytes;
  uint64_t value = random_.next();
  if (first.ok() && is_table(first.gpa.value())) value = entry_at(first.gpa.value());
  if (size == 4) value &= 0xffff'ffff;
  ++n_.accesses;
  note(absl::StrFormat("cpu %d %s %x (%d) value %x pcid %d: %s", i, to_string(how), va, size, value,
                       pcid(i), to_string(first)));
  const MemoryResult r = how.write()              ? cpu(i).store(Gva(va), size, value, how)
                         : op == AccessOp::kFetch ? MemoryResult{cpu(i).access(Gva(va), how)}
                                                  : cpu(i).load(Gva(va), size, how);
  const Translation& t = r.translation;
  if (direct_ && t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone)
    return void(++n_.refused);
  const NaiveResult want = naive_.translate(controls(i), model_, Gva(va), how, true);
  set_flags(want);
  if (crosses && want.ok()) {
    second = naive_.translate(controls(i), model_, Gva(next), how, true);
    set_flags(second);
  }
  const bool done = want.ok() && (!crosses || second.ok());
  const std::string wrong = difference(want.ok() && !done ? second : want, t, p2m_);
  if (!wrong.empty()) return fail(wrong);
  ++(t.ok() ? n_.translated : t.outcome == Outcome::kGuestFault ? n_.faults : n_.host_stops);
  before_change();  // the store may change the very entries that were walked and cached
  if (done && op != AccessOp::kFetch) transfer(r, want, second, va, size, value, how);
  // Only now: the store may have gone into the very entries that were walked.
  if (random_.percent(25)) check_flags(i, want);
}

void RandomGuest::transfer(const MemoryResult& r, const NaiveResult& want,
                           const NaiveResult& second, uint64_t va, unsigned size, uint64_t value,
                           Access how) {
  const Translation& t = r.translation;
  const auto here = static_cast<unsigned>(std::min<uint64_t>(size, kPage - va % kPage));
  const bool crosses = here < size;
  n_.trapped += t.trapped;
  const uint64_t at = want.gpa.value();
  if (how.write()) {
    if (r.stored == StoreResult::kRefused && direct_) return void(++n_.refused);
    if (!r.done()) return fail("the store was not done");
    mirror_store(at, value, here);
    if (crosses) mirror_store(second.gpa.value(), value >> (8 * here), size - here);
    return;
  }
  uint64_t should = mirror_load(at, here);
  if (crosses) should |= mirror_load(second.gpa.value(), size - here) << (8 * here);
  if (r.value != should) fail(absl::StrFormat("loaded %x, expected %x", r.value, should));
}

void RandomGuest::set_flags(const NaiveResult& r) {
  n_.flags += r.update_count;
  for (unsigned k = 0; k < r.update_count; ++k) {
    written_[r.updates[k].at.frame()] = !lazy_ || written_[r.updates[k].at.frame()];
    changed();
  }
}

}  // namespace gnomon::vcpu_test

// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/memory_path.h"

#include <algorithm>
#include <cassert>

#include "gnomon/cache/hierarchy.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/x86/format_long.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kAlignmentMask = 1u << 18;  // CR0.AM

unsigned bytes_in_page(uint64_t linear, unsigned size) {
  return static_cast<unsigned>(std::min<uint64_t>(size, kPageBytes - linear % kPageBytes));
}

}  // namespace

MemoryPath::MemoryPath(Vcpu<Backend>& mmu, P2m& p2m, DevicePort& devices, CodeWatch* code)
    : mmu_(mmu),
      p2m_(p2m),
      devices_(devices),
      code_(code),
      tables_(std::make_unique<Tables[]>(kTables)),
      current_(&tables_[0]) {}

void MemoryPath::flush() {
  ++epoch_;
  has_large_ = false;
  if (++generation_ < kPageBytes) return;
  generation_ = 1;
  for (size_t i = 0; i < kTables; ++i) tables_[i] = Tables{};
}

void MemoryPath::invalidate(uint64_t linear) {
  if (has_large_) return flush();
  ++epoch_;
  for (size_t i = 0; i < kTables; ++i) {
    Tables& t = tables_[i];
    for (auto* table : {&t.read, &t.write, &t.code_write, &t.fetch}) {
      Entry& e = (*table)[index(linear)];
      if (e.tag == tag(linear)) e.tag = ~uint64_t{0};
    }
  }
}

bool MemoryPath::write_cr3(uint64_t value) {
  if (!mmu_.write_cr3(value)) return false;
  flush();
  if (observer_ != nullptr) observer_->cr3_written(value);
  return true;
}

bool MemoryPath::write_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) {
  const PagingRules before = mmu_.state().rules;
  const uint64_t cr4_before = mmu_.controls().cr4;
  if (!mmu_.write_controls(cr0, cr4, efer)) return false;
  // CR0.TS changes often, and changes nothing here.
  if (before != mmu_.state().rules || cr4 != cr4_before) flush();
  check_requests();
  rights_changed();
  if (observer_ != nullptr) observer_->controls_written(cr0, cr4, efer);
  return true;
}

void MemoryPath::invlpg(uint64_t linear) {
  mmu_.invlpg(Gva(linear));
  invalidate(linear);
  check_requests();
  if (observer_ != nullptr) observer_->invlpg_done(Gva(linear));
}

bool MemoryPath::invpcid(InvpcidType type, uint64_t pcid, uint64_t linear) {
  if (!mmu_.invpcid(type, pcid, Gva(linear))) return false;
  flush();
  if (observer_ != nullptr) {
    observer_->invpcid_done(static_cast<unsigned>(type), static_cast<uint16_t>(pcid), Gva(linear));
  }
  return true;
}

StoreResult MemoryPath::write_physical(Gpa at, uint64_t value, unsigned size) {
  const StoreResult stored = mmu_.backend().write_physical(mmu_.state(), at, value, size);
  check_requests();
  const P2mEntry frame = p2m_.lookup(at);
  if (stored == StoreResult::kNotBacked && frame.state() == FrameState::kLazy) host_failed = true;
  if (stored != StoreResult::kDone) return stored;
  if (code_ != nullptr)
    code_->code_written(p2m_.host().at<uint8_t>(frame.frame()) + at.offset_in(PageSize::k4K), size);
  if (observer_ != nullptr) observer_->physical_written(at, value, size);
  return stored;
}

uint64_t MemoryPath::wrap(uint64_t linear) const {
  return (mmu_.controls().efer & efer::kLMA) != 0 ? linear : linear & 0xffff'ffff;
}

bool MemoryPath::canonical(uint64_t linear) const {
  const Controls& c = mmu_.controls();
  if ((c.efer & efer::kLMA) == 0) return true;
  return (c.cr4 & cr4::kLA57) != 0 ? Long5::canonical(Gva(linear)) : Long4::canonical(Gva(linear));
}

// Do the bytes leave canonical space? Found before any page is looked at.
bool MemoryPath::leaves_canonical(uint64_t linear, unsigned size) {
  if (canonical(linear + size - 1)) [[likely]]
    return false;
  fault = Fault::gp();
  fault.non_canonical = true;
  return true;
}

bool MemoryPath::failed(const Translation& t, uint64_t linear) {
  if (t.outcome == Outcome::kGuestFault) {
    if ((t.error_code & pf::kNonCanonical) != 0) {
      fault = Fault::gp();
      fault.non_canonical = true;
    } else {
      fault = Fault::with_error(kPageFault, t.error_code);
      fault.cr2 = linear;
    }
  } else {
    host_failed = true;
    if (t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone)
      refusal = {t.level, t.gpa};
    fault = Fault::plain(kMachineCheck);
  }
  return false;
}

void MemoryPath::rights_changed() {
  current_ = &tables_of(user_);
  const Controls& c = mmu_.controls();
  const bool checks = user_ && c.ac && (c.cr0 & kAlignmentMask) != 0;
  if (checks == checks_alignment_) return;
  checks_alignment_ = checks;
  flush();
}

bool MemoryPath::misaligned(uint64_t linear, unsigned size, Privilege by) {
  if (!checks_alignment_ || by != Privilege::kUser || (linear & (size - 1)) == 0) return false;
  fault = Fault::with_error(kAlignmentCheck, 0);
  return true;
}

bool MemoryPath::refuse_device() {
  wants_device = true;
  return false;
}

void MemoryPath::keep(Entry& e, uint64_t linear, const Translation& t) {
  if (exact_ || checks_alignment_ || !t.cacheable || t.trapped) return;
  e.tag = tag(linear);
  e.addend = reinterpret_cast<uintptr_t>(p2m_.host().at<uint8_t>(t.hpa)) - linear;
  if (t.size != PageSize::k4K || t.splintered) has_large_ = true;
}

Translation MemoryPath::translate(uint64_t linear, unsigned size, Access how,
                                  const uint64_t* value) {
  if (observer_ != nullptr) [[unlikely]]
    observer_->before_access(Gva(linear), size, how, value);
  ++references[static_cast<size_t>(how.op())];
  const Translation t = mmu_.access(Gva(linear), how);
  check_requests();
  if (CacheHierarchy* caches = mmu_.state().memory; caches != nullptr && t.ok())
    caches->data(t.hpa);
  return t;
}

bool MemoryPath::load_slow(uint64_t linear, unsigned size, uint64_t& value, Access how) {
  if (misaligned(linear, size, how.by())) [[unlikely]]
    return false;
  linear = wrap(linear);
  const unsigned here = bytes_in_page(linear, size);
  if (here < size && leaves_canonical(linear, size)) return false;
  uint64_t low = 0;
  if (!load_piece(linear, here, low, how)) return false;
  uint64_t high = 0;
  if (here < size && !load_piece(wrap(linear + here), size - here, high, how)) return false;
  value = here < size ? low | high << (8 * here) : low;
  return true;
}

bool MemoryPath::load_piece(uint64_t linear, unsigned size, uint64_t& value, Access how) {
  const Translation t = translate(linear, size, how);
  if (t.ok()) [[likely]] {
    if (t.trapped) {
      if (!mmu_.backend().read_physical(mmu_.state(), t.gpa, size, value)) value = ~uint64_t{0};
      check_requests();
    } else {
      value = gnomon::load_bytes(p2m_.host().at<uint8_t>(t.hpa), size);
    }
    // A load that goes before a store leaves it to the store to look whether the frame holds code.
    if (!how.write()) keep(tables_of(how.user()).read[index(linear)], linear, t);
    return true;
  }
  if (t.outcome == Outcome::kHostViolation && t.cause == HostCause::kMmio && t.level == 0) {
    if (!devices_allowed_) return refuse_device();
    value = devices_.device_read(t.gpa, size);
    return true;
  }
  if (t.outcome == Outcome::kNotBacked || t.cause == HostCause::kMmio) {
    value = ~uint64_t{0};
    return true;
  }
  if (t.cause == HostCause::kReadOnly && how.write()) {
    return load_piece(linear, size, value, how.with(AccessOp::kRead));
  }
  return failed(t, linear);
}

bool MemoryPath::store_slow(uint64_t linear, unsigned size, uint64_t value, Privilege by) {
  if (misaligned(linear, size, by)) [[unlikely]]
    return false;
  linear = wrap(linear);
  if (bytes_in_page(linear, size) == size) [[likely]]
    return store_piece(linear, size, value, by);
  return store_bytes(linear, &value, size, by);
}

bool MemoryPath::probe_store(uint64_t linear, unsigned size, Privilege by) {
  bool refusable = false;
  return probe(linear, size, by, refusable);
}

// `refusable`: some bytes are in a frame whose stores the backend may refuse.
bool MemoryPath::probe(uint64_t linear, unsigned size, Privilege by, bool& refusable) {
  linear = wrap(linear);
  if (leaves_canonical(linear, size)) return false;
  const Access how{AccessOp::kWrite, by};
  for (unsigned done = 0; done < size;) {
    const uint64_t at = wrap(linear + done);
    const unsigned here = bytes_in_page(at, size - done);
    const Translation t = translate(at, here, how);
    if (t.outcome == Outcome::kGuestFault) return failed(t, at);
    refusable |= t.ok() && t.trapped && mmu_.backend().validates_tables();
    done += here;
  }
  return true;
}

bool MemoryPath::store_piece(uint64_t linear, unsigned size, uint64_t value, Privilege by) {
  Tables& tables = tables_of(by == Privilege::kUser);
  Entry& watched = tables.code_write[index(linear)];
  // Implicit accesses share the tables of explicit ones, but not what EFLAGS.AC allows these.
  if (watched.tag == tag(linear) && by != Privilege::kImplicit) {
    uint8_t* to = host(watched, linear);
    code_->code_written(to, size);
    std::memcpy(to, &value, size);
    return true;
  }
  const Translation t = translate(linear, size, {AccessOp::kWrite, by}, &value);
  if (t.ok()) [[likely]] {
    uint8_t* to = p2m_.host().at<uint8_t>(t.hpa);
    const bool code = code_ != nullptr && code_->has_code(to - t.hpa.offset_in(PageSize::k4K));
    if (code) code_->code_written(to, size);
    if (t.trapped) {
      const StoreResult stored = mmu_.backend().write_physical(mmu_.state(), t.gpa, value, size);
      check_requests();
      if (stored == StoreResult::kRefused) {
        fault = Fault::gp();
        return false;
      }
      return true;
    }
    gnomon::store_bytes(to, value, size);
    if (t.dirty) keep(code ? watched : tables.write[index(linear)], linear, t);
    return true;
  }
  if (t.outcome == Outcome::kHostViolation && t.cause == HostCause::kMmio && t.level == 0) {
    if (!devices_allowed_) return refuse_device();
    devices_.device_write(t.gpa, size, value);
    return true;
  }
  if (t.outcome == Outcome::kNotBacked || t.cause == HostCause::kReadOnly ||
      t.cause == HostCause::kMmio) {
    return true;  // nothing is there that could keep it
  }
  return failed(t, linear);
}

bool MemoryPath::load_bytes(uint64_t linear, void* to, unsigned size, Privilege by) {
  if (leaves_canonical(wrap(linear), size)) return false;
  auto* out = static_cast<uint8_t*>(to);
  for (unsigned done = 0; done < size;) {
    const unsigned n = std::min(8u, size - done);
    uint64_t value = 0;
    if (!load_slow(linear + done, n, value, {AccessOp::kRead, by})) return false;
    std::memcpy(out + done, &value, n);
    done += n;
  }
  return true;
}

bool MemoryPath::store_bytes(uint64_t linear, const void* from, unsigned size, Privilege by) {
  const auto* const in = static_cast<const uint8_t*>(from);
  if (size <= 8 && bytes_in_page(linear, size) == size) {
    return store_slow(linear, size, gnomon::load_bytes(in, size), by);
  }
  assert(size <= kMostBytes);
  // What the backend refuses it says only when asked to store; then the bytes before are put back.
  bool refusable = false;
  if (misaligned(linear, std::min(size, 8u), by) || !probe(linear, size, by, refusable))
    return false;
  std::array<uint8_t, kMostBytes> before;
  if (refusable && !load_bytes(linear, before.data(), size, by)) return false;
  unsigned done = 0;
  if (store_pieces(linear, in, size, by, done)) return true;
  if (refusable) {
    const Fault why = fault;
    unsigned undone = 0;
    store_pieces(linear, before.data(), done, by, undone);
    fault = why;
  }
  return false;
}

// Up to 8 bytes of a page at a time; `done` is how many bytes have been stored.
bool MemoryPath::store_pieces(uint64_t linear, const uint8_t* from, unsigned size, Privilege by,
                              unsigned& done) {
  while (done < size) {
    const uint64_t at = wrap(linear + done);
    const unsigned n = bytes_in_page(at, std::min(8u, size - done));
    if (!store_piece(at, n, gnomon::load_bytes(from + done, n), by)) return false;
    done += n;
  }
  return true;
}

const uint8_t* MemoryPath::fetch(uint64_t linear) {
  fetch_from_device = false;
  linear = wrap(linear);
  Entry& e = tables_[user_].fetch[index(linear)];
  if (e.tag == tag(linear)) [[likely]]
    return host(e, linear);
  const Translation t = translate(linear, 1, {AccessOp::kFetch, privilege()});
  if (t.ok()) {
    keep(e, linear, t);
    return p2m_.host().at<uint8_t>(t.hpa);
  }
  if (t.outcome == Outcome::kNotBacked || t.cause == HostCause::kMmio) {
    fetch_from_device = true;
    return nullptr;
  }
  failed(t, linear);
  return nullptr;
}

}  // namespace gnomon::vmm

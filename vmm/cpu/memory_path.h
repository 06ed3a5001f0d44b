// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_MEMORY_PATH_H_
#define VMM_CPU_MEMORY_PATH_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "gnomon/backend.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu.h"
#include "gnomon/vmm/io_bus.h"
#include "vmm/cpu/fault.h"
#include "vmm/cpu/observer.h"

// How a processor reaches memory: a small software TLB in front of Vcpu::access, which walks the
// tables that the hardware would walk. What lies in device memory goes to the bus.
//
//  1. The software TLB holds host addresses of pages for one kind of access (one privilege, and
//     with SMAP one RFLAGS.AC); whatever could revoke one of them drops it (flush, invlpg) before
//     the next access: CR3 and other controls, INVLPG, and flush requests of the backend, which are
//     looked at after each call into it.
//  2. A page is in the table for stores only if stores need no attention: its dirty flag is set, it
//     holds no guest table that is tracked, and no code that was decoded.
//  3. Device memory is only accessed while `devices_allowed`: by an instruction on its own, when
//     the count of instructions, and so the time that the device sees, is exact. Otherwise the
//     access fails with `wants_device`, and the instruction is to be started again.
//  4. With a modelled TLB or a recorder (`exact`) nothing is kept: each access is one Vcpu::access.

namespace gnomon::vmm {

/// Told of stores to frames from which instructions were decoded.
class CodeWatch {
 public:
  virtual ~CodeWatch() = default;
  virtual bool has_code(const uint8_t* host_page) const = 0;
  /// `size` bytes at `host` are about to change; they lie in one page.
  virtual void code_written(const uint8_t* host, unsigned size) = 0;
};

/// Device accesses go through here, so that time is right when a device is asked.
class DevicePort {
 public:
  virtual ~DevicePort() = default;
  virtual uint64_t device_read(Gpa at, unsigned size) = 0;
  virtual void device_write(Gpa at, unsigned size, uint64_t value) = 0;
};

class MemoryPath {
 public:
  MemoryPath(Vcpu<Backend>& mmu, P2m& p2m, DevicePort& devices, CodeWatch* code = nullptr);

  Vcpu<Backend>& mmu() { return mmu_; }
  const Vcpu<Backend>& mmu() const { return mmu_; }
  const Backend& backend() const { return mmu_.backend(); }
  P2m& p2m() { return p2m_; }
  /// The privilege of plain loads and stores.
  void set_user(bool user) {
    user_ = user;
    rights_changed();
  }
  /// RFLAGS.AC: what SMAP allows, and whether alignment is checked.
  void set_ac(bool ac) {
    mmu_.set_ac(ac);
    rights_changed();
  }
  bool user() const { return user_; }
  Privilege privilege() const { return user_ ? Privilege::kUser : Privilege::kSupervisor; }
  void set_exact(bool exact) {
    exact_ = exact;
    flush();
  }
  bool exact() const { return exact_; }
  void set_devices_allowed(bool allowed) { devices_allowed_ = allowed; }
  void set_observer(MemoryObserver* observer) { observer_ = observer; }

  // Each answers false and sets `fault` if the access faults; then nothing has changed (but
  // accessed flags). Sizes are of T: 1, 2, 4, 8 bytes; any alignment.
  template <class T>
  bool load(uint64_t linear, T& value) {
    const Entry& e = current_->read[index(linear)];
    if (e.tag == tag(linear + sizeof(T) - 1)) [[likely]] {
      std::memcpy(&value, host(e, linear), sizeof(T));
      return true;
    }
    uint64_t wide = 0;
    if (!load_slow(linear, sizeof(T), wide, {AccessOp::kRead, privilege()})) return false;
    value = static_cast<T>(wide);
    return true;
  }
  template <class T>
  bool store(uint64_t linear, T value) {
    const Entry& e = current_->write[index(linear)];
    if (e.tag == tag(linear + sizeof(T) - 1)) [[likely]] {
      std::memcpy(host(e, linear), &value, sizeof(T));
      return true;
    }
    return store_slow(linear, sizeof(T), value, privilege());
  }
  /// Where these bytes are, to be loaded or stored directly, if the software TLB knows; otherwise
  /// `load` or `store` must be called.
  template <class T>
  bool find_readable(uint64_t linear, const uint8_t*& at) const {
    const Entry& e = current_->read[index(linear)];
    at = host(e, linear);
    return e.tag == tag(linear + sizeof(T) - 1);
  }
  template <class T>
  bool find_writable(uint64_t linear, uint8_t*& at) const {
    const Entry& e = current_->write[index(linear)];
    at = host(e, linear);
    return e.tag == tag(linear + sizeof(T) - 1);
  }
  /// The same for `bytes` bytes, all in one page; null: it does not know.
  const uint8_t* plain_load(uint64_t linear, uint64_t bytes) const {
    const Entry& e = current_->read[index(linear)];
    return e.tag == tag(linear + bytes - 1) ? host(e, linear) : nullptr;
  }
  uint8_t* plain_store(uint64_t linear, uint64_t bytes) const {
    const Entry& e = current_->write[index(linear)];
    return e.tag == tag(linear + bytes - 1) ? host(e, linear) : nullptr;
  }
  /// Loads what a store to the same bytes will follow: faults as a store does.
  template <class T>
  bool load_for_store(uint64_t linear, T& value) {
    const Entry& e = current_->write[index(linear)];
    if (e.tag == tag(linear + sizeof(T) - 1)) [[likely]] {
      std::memcpy(&value, host(e, linear), sizeof(T));
      return true;
    }
    uint64_t wide = 0;
    if (!load_slow(linear, sizeof(T), wide, {AccessOp::kWrite, privilege()})) return false;
    value = static_cast<T>(wide);
    return true;
  }
  /// 16 bytes, any alignment, as two halves of 8 bytes.
  bool load16(uint64_t linear, uint64_t (&value)[2]) {
    const Entry& e = current_->read[index(linear)];
    if (e.tag == tag(linear + 15)) [[likely]] {
      std::memcpy(value, host(e, linear), 16);
      return true;
    }
    uint64_t bytes[2];
    if (!load_bytes(linear, bytes, 16, privilege())) return false;
    std::memcpy(value, bytes, 16);
    return true;
  }
  bool store16(uint64_t linear, const uint64_t (&value)[2]) {
    const Entry& e = current_->write[index(linear)];
    if (e.tag == tag(linear + 15)) [[likely]] {
      std::memcpy(host(e, linear), value, 16);
      return true;
    }
    const uint64_t bytes[2] = {value[0], value[1]};
    return store_bytes(linear, bytes, 16, privilege());
  }
  /// Any size from 1 to kMostBytes, with any privilege: descriptors, stacks, state images. A store
  /// changes nothing unless all of it can be stored (but for devices).
  static constexpr unsigned kMostBytes = 512;
  bool load_bytes(uint64_t linear, void* to, unsigned size, Privilege by);
  bool store_bytes(uint64_t linear, const void* from, unsigned size, Privilege by);
  /// Would a store of these bytes fault? (Sets the flags that a store sets.)
  bool probe_store(uint64_t linear, unsigned size, Privilege by);

  /// Where the bytes at `linear` are, to decode instructions from: good until the page's end and
  /// the next flush. Null: it faults, or there is no RAM (then `fetch_from_device`).
  const uint8_t* fetch(uint64_t linear);

  std::array<uint64_t, 3> references{};  ///< calls of Vcpu::access so far, by AccessOp

  Fault fault;                     ///< of the last access that failed
  bool fetch_from_device = false;  ///< the last fetch that failed met no fault, but no RAM
  bool wants_device = false;  ///< the last access that failed was to a device, at the wrong moment
  bool host_failed =
      false;  ///< the host could not give the guest its memory: the machine must stop
  /// The host failed because the backend does not take the root that CR3 names, or (level 0) the
  /// paging mode: see mmu/direct/direct.h.
  struct Refusal {
    unsigned level = 0;
    Gpa root;
  };
  std::optional<Refusal> refusal;

  // What changes translations, with what must be forgotten then. As the functions of Vcpu: false is
  // #GP, and nothing has changed.
  bool write_cr3(uint64_t value);
  bool write_controls(uint64_t cr0, uint64_t cr4, uint64_t efer);
  void invlpg(uint64_t linear);
  bool invpcid(InvpcidType type, uint64_t pcid, uint64_t linear);

  /// Stores the low `size` bytes of `value` at a guest-physical address, all in one page, on behalf
  /// of the guest: code and recorder are told as of its own stores. If the host has no memory for
  /// it: kNotBacked, and `host_failed` is set.
  StoreResult write_physical(Gpa at, uint64_t value, unsigned size);

  /// Drops everything from the software TLB.
  void flush();
  /// After INVLPG.
  void invalidate(uint64_t linear);
  /// A frame has become one with code: stores to it need attention.
  void protect_code() { flush(); }
  /// Counts flushes and invalidations: what was looked up by address in another epoch must be
  /// looked up again.
  uint64_t epoch() const { return epoch_; }
  /// Obeys flush requests of the backend. To be called before a processor goes on after anything
  /// else has run.
  void check_requests() {
    if (mmu_.state().gate.flush_request.load(std::memory_order_relaxed)) [[unlikely]]
      flush();
  }

 private:
  struct Entry {
    uint64_t tag = ~uint64_t{0};  // page, and the generation in its low bits
    uintptr_t addend = 0;         // host address minus guest-virtual address
  };
  static constexpr size_t kEntries = 1024;
  static constexpr size_t kTables = 3;
  struct Tables {
    std::array<Entry, kEntries> read, write, code_write, fetch;
  };

  // Those that a kind of access fills. The supervisor has two: with RFLAGS.AC set it may access
  // what SMAP keeps it from.
  Tables& tables_of(bool user) {
    const PagingRules& rules = mmu_.state().rules;
    return tables_[user ? 1 : rules.smap && rules.ac ? 2 : 0];
  }
  void rights_changed();
  static size_t index(uint64_t linear) { return linear >> 12 & (kEntries - 1); }
  uint64_t tag(uint64_t linear) const { return (linear & ~uint64_t{0xfff}) | generation_; }
  static uint8_t* host(const Entry& e, uint64_t linear) {
    return reinterpret_cast<uint8_t*>(e.addend + linear);
  }
  Translation translate(uint64_t linear, unsigned size, Access how,
                        const uint64_t* value = nullptr);
  bool load_slow(uint64_t linear, unsigned size, uint64_t& value, Access how);
  bool load_piece(uint64_t linear, unsigned size, uint64_t& value, Access how);
  bool store_slow(uint64_t linear, unsigned size, uint64_t value, Privilege by);
  bool store_piece(uint64_t linear, unsigned size, uint64_t value, Privilege by);
  bool store_pieces(uint64_t linear, const uint8_t* from, unsigned size, Privilege by,
                    unsigned& done);
  bool probe(uint64_t linear, unsigned size, Privilege by, bool& refusable);
  bool failed(const Translation& t, uint64_t linear);
  bool canonical(uint64_t linear) const;
  bool leaves_canonical(uint64_t linear, unsigned size);
  bool misaligned(uint64_t linear, unsigned size, Privilege by);
  bool refuse_device();
  void keep(Entry& e, uint64_t linear, const Translation& t);
  uint64_t wrap(uint64_t linear) const;

  Vcpu<Backend>& mmu_;
  P2m& p2m_;
  DevicePort& devices_;
  CodeWatch* code_;
  MemoryObserver* observer_ = nullptr;
  bool user_ = false;
  bool exact_ = false;
  bool devices_allowed_ = true;
  bool checks_alignment_ = false;  // then the tables stay empty
  bool has_large_ = false;         // something in the tables is part of a large page
  uint64_t generation_ = 1;        // 1 to 4095
  uint64_t epoch_ = 1;
  std::unique_ptr<Tables[]> tables_;
  Tables* current_;  // of plain loads and stores
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_MEMORY_PATH_H_

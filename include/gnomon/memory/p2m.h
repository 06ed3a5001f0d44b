// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_MEMORY_P2M_H_
#define GNOMON_MEMORY_P2M_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/base/address.h"
#include "gnomon/base/load_ahead.h"
#include "gnomon/base/outcome.h"
#include "gnomon/base/vm_lock.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/lazy_array.h"

// The physical-to-machine map (GPA -> HPA) of one virtual machine: what EPT or NPT tables will
// hold, and what shadow paging composes with the guest's own tables. Memory slots and MMIO regions
// lie in a guest-physical space that is otherwise empty.

namespace gnomon {

/// What lies at a guest-physical frame.
enum class FrameState : uint8_t {
  kAbsent,     ///< neither slot nor MMIO
  kLazy,       ///< in a slot, no host frame yet: `back` gives it one
  kRam,        ///< backed by a host frame
  kBallooned,  ///< in a slot, given back by the guest; `deflate` makes it lazy again
  kMmio,
};

absl::string_view name_of(FrameState state);

/// The state of one 4K guest frame in a word. `frame` and `size` are only meaningful for kRam.
class P2mEntry {
 public:
  constexpr P2mEntry() = default;
  constexpr explicit P2mEntry(uint64_t raw) : raw_(raw) {}
  static constexpr P2mEntry make(FrameState state, Hpa frame, PageSize size, bool rom) {
    return P2mEntry(frame.page_base().value() | static_cast<uint64_t>(state) |
                    (size == PageSize::k2M ? 8u : size == PageSize::k1G ? 16u : 0u) |
                    (rom ? kRom : 0));
  }

  constexpr uint64_t raw() const { return raw_; }
  constexpr FrameState state() const { return static_cast<FrameState>(raw_ & 7); }
  constexpr bool is_ram() const { return state() == FrameState::kRam; }
  /// The 4K host frame.
  constexpr Hpa frame() const { return Hpa(raw_ & ~uint64_t{0xfff}); }
  /// Size of the naturally aligned host page that this frame is part of: 4K, 2M or 1G.
  constexpr PageSize size() const {
    return raw_ & 16 ? PageSize::k1G : raw_ & 8 ? PageSize::k2M : PageSize::k4K;
  }
  /// The same frame as a page of its own.
  constexpr P2mEntry as_4k() const { return P2mEntry(raw_ & ~uint64_t{24}); }
  constexpr bool rom() const { return (raw_ & kRom) != 0; }
  /// Dirty-logged and clean: the next write must be noted with `mark_dirty` before it is let
  /// through.
  constexpr bool write_logged() const { return (raw_ & kLogged) != 0; }
  constexpr P2mEntry with_logged(bool on) const {
    return P2mEntry(on ? raw_ | kLogged : raw_ & ~kLogged);
  }
  /// Dirty-logged and written: in the next answer of `take_dirty`.
  constexpr bool dirty() const { return (raw_ & kDirty) != 0; }
  /// The same guest frame in another state or place; slot and logging flags stay.
  constexpr P2mEntry moved_to(FrameState state, Hpa frame, PageSize size) const {
    return P2mEntry(make(state, frame, size, rom()).raw() | (raw_ & (kLogged | kDirty)));
  }
  /// Logged and clean, logged and dirty, or (both false) not logged.
  constexpr P2mEntry with_log(bool logged, bool dirty) const {
    return P2mEntry((raw_ & ~(kLogged | kDirty)) | (logged ? kLogged : 0) | (dirty ? kDirty : 0));
  }
  /// May a mapping of this frame be writable right now?
  constexpr bool writable() const { return (raw_ & (kRom | kLogged)) == 0; }

 private:
  static constexpr uint64_t kRom = 32;
  static constexpr uint64_t kLogged = 64;
  static constexpr uint64_t kDirty = 128;  // never together with kLogged
  uint64_t raw_ = 0;
};

/// Told of every change that a cached translation could outlive, with the VM's lock held, *before*
/// the change: when the call returns no cached translation of the named frames may remain (for
/// kWriteProtected: none that is writable). A listener may read the map, and must not change it.
/// Backing a lazy frame and deflating are not told, because nothing can be mapped there.
class P2mListener {
 public:
  enum class Change : uint8_t {
    kRemoved,         ///< the frame goes away, and its contents with it (balloon, removal of a slot or of MMIO)
    kMoved,           ///< another host frame with the same contents, or another host page size
    kWriteProtected,  ///< mappings stay valid but must lose write permission (dirty logging armed)
    kAppeared,        ///< a slot or MMIO region appears where there was nothing or MMIO
  };
  virtual ~P2mListener() = default;
  virtual void before_p2m_change(Gpa first, uint64_t frames, Change change) = 0;
};

/// How guest frames of a slot get their host frames.
enum class Placement : uint8_t {
  kContiguous,  ///< next free host frame: neighbours tend to stay neighbours
  kScattered,   ///< seeded random host frames for 4K pages: a long-running, fragmented host
};

struct SlotOptions {
  /// Largest host page used to back the slot; smaller ones are used where alignment or memory
  /// demand.
  PageSize backing = PageSize::k4K;
  Placement placement = Placement::kContiguous;
  /// Frames are backed on first touch (true) or at once (false: fails when the host is too small).
  bool lazy = true;
  bool rom = false;
  /// Percentage of 2M regions that are backed with 4K frames all the same, as on a fragmented host.
  /// A 1G region that has one of these is not backed with a 1G page.
  uint8_t fragmented_percent = 0;
  uint64_t seed = 1;
};

/// Thread rule: `lookup` and `frame_index` may be called from any thread at any time between slot
/// changes; everything else needs the VM's lock (`lock()`), and add and remove of slots and
/// MMIO regions need all vCPUs stopped.
///
/// A host page of 2M or 1G is naturally aligned in both spaces, lies in one slot, and all its
/// frames are kRam. No host frame backs two guest frames. Changes to a frame outside every slot are
/// NotFound, changes that its state does not allow FailedPrecondition, and ResourceExhausted means
/// that the host has no room; then nothing has changed and nobody was told.
class P2m {
 public:
  static constexpr uint32_t kNoIndex = ~uint32_t{0};
  /// Guest-physical space: addresses of 2^52 and above are never in a slot.
  static constexpr unsigned kMaxGpaBits = 52;
  /// Slots hold at most this many frames together: 64 GiB.
  static constexpr uint32_t kMaxFrames = uint32_t{16} << 20;

  explicit P2m(HostMemory& host);
  ~P2m();
  P2m(const P2m&) = delete;
  P2m& operator=(const P2m&) = delete;

  /// Errors: InvalidArgument (not 4K-aligned, empty, beyond 2^52, bad option), AlreadyExists
  /// (overlaps a slot or MMIO region), ResourceExhausted (more than kMaxFrames, or not lazy and the
  /// host is full).
  absl::Status add_slot(Gpa base, uint64_t bytes, const SlotOptions& options = {});
  absl::Status add_mmio(Gpa base, uint64_t bytes);
  /// Takes away the MMIO region that starts at `base`, whole. NotFound if there is none.
  absl::Status remove_mmio(Gpa base);
  /// Frees the slot that starts at `base` with its frames. NotFound if there is none.
  absl::Status remove_slot(Gpa base);

  /// What lies at `gpa`; no side effects.
  P2mEntry lookup(Gpa gpa) const {
    const uint32_t i = frame_index(gpa);
    if (i != kNoIndex) [[likely]] return entry(i);
    return outside(gpa);
  }
  /// A dense number for each guest frame in a slot, below `frame_capacity()`; kNoIndex elsewhere.
  /// It indexes per-frame metadata of the backends and stays the same while the slot lives; numbers
  /// of a removed slot are given out again.
  uint32_t frame_index(Gpa gpa) const {
    for (const Slot& s : slots_) {
      const uint64_t offset = gpa.value() - s.base.value();
      if (offset < s.bytes) [[likely]] {
        return s.first_index + static_cast<uint32_t>(offset >> shift_of(PageSize::k4K));
      }
    }
    return kNoIndex;
  }
  /// Brings what `lookup` reads into our processor's caches.
  void load_ahead(Gpa gpa) const {
    const uint32_t i = frame_index(gpa);
    if (i != kNoIndex) gnomon::load_ahead(&entries_[i]);
  }
  /// The inverse of frame_index: base address of frame number `index`, which must be live.
  Gpa frame_at(uint32_t index) const;
  /// Upper bound of all frame numbers handed out so far.
  uint32_t frame_capacity() const { return next_index_; }

  /// As `lookup`, after giving a lazy frame its host frame(s). A lazy entry in the answer means
  /// that the host is full. Counts nothing: callers do.
  P2mEntry back(Gpa gpa);

  /// Moves the frame(s) of the host page around `gpa` to another place, contents kept.
  /// A 2M or 1G page moves whole if the host has another such block; otherwise it is broken up, as
  /// by `balloon`, and the one frame moves.
  absl::Status remap(Gpa gpa);
  /// Gives back one frame, lazy or not; its contents are lost. Its host page is broken up around
  /// it: of a 1G page the other 2M regions become 2M pages, of a 2M page the other frames 4K pages.
  absl::Status balloon(Gpa gpa);
  absl::Status deflate(Gpa gpa);  ///< a ballooned frame becomes lazy again
  absl::Status split(Gpa gpa);    ///< the host page around `gpa` becomes 4K pages, in place
  /// The 2M region around `gpa` becomes one 2M host page: contents move unless they lie as one
  /// already, lazy frames are backed. FailedPrecondition if it leaves its slot or has a ballooned
  /// frame.
  absl::Status promote(Gpa gpa);

  /// Arms dirty logging on a range (the part of it in slots): every RAM frame in it is clean and
  /// write-protected. Frames backed later are too; the log of a frame stays when it is moved,
  /// ballooned or deflated. None of these counts as a write.
  void start_dirty_log(Gpa first, uint64_t frames);
  void stop_dirty_log(Gpa first, uint64_t frames);
  /// Is any frame logged? Then a translation of a whole large host page may hide first writes to parts of it.
  bool logging() const { return logging_.load(std::memory_order_relaxed); }
  /// Called before a write is let through to a write_logged() frame; clears the protection. Does
  /// nothing for other frames.
  void mark_dirty(Gpa gpa);
  /// Frames of the range written since the last call (or since logging started), in address order;
  /// they are clean and protected again.
  std::vector<Gpa> take_dirty(Gpa first, uint64_t frames);

  void add_listener(P2mListener* listener);
  void remove_listener(P2mListener* listener);

  /// Changes whenever a slot or MMIO region appears or goes; an MMIO marker cached under another
  /// generation is stale.
  uint32_t generation() const { return generation_; }
  HostMemory& host() const { return *host_; }
  VmLock& lock() const { return lock_; }

  /// Calls `f(Gpa first, uint64_t frames)` for each slot, in address order.
  template <class F>
  void for_each_slot(F&& f) const {
    for (const Slot& s : slots_) f(s.base, s.bytes >> shift_of(PageSize::k4K));
  }

  /// Pointer to the 8-byte aligned word or byte range at `gpa` if the frame is RAM now; nullptr
  /// otherwise.
  uint8_t* ram_at(Gpa gpa) const {
    const P2mEntry e = lookup(gpa);
    if (!e.is_ram()) return nullptr;
    return host_->at<uint8_t>(e.frame().with_offset(PageSize::k4K, gpa.value()));
  }

 private:
  struct Slot {
    Gpa base;
    uint64_t bytes;
    uint32_t first_index;
    SlotOptions options;
  };
  struct Mmio {
    Gpa base;
    uint64_t bytes;
  };

  using Change = P2mListener::Change;

  static constexpr uint32_t frames_of(PageSize size) {
    return static_cast<uint32_t>(bytes_of(size) >> shift_of(PageSize::k4K));
  }
  static uint32_t number_in(const Slot& s, Gpa gpa) {
    return s.first_index + static_cast<uint32_t>(gpa.frame() - s.base.frame());
  }
  static bool page_lies_in(const Slot& s, Gpa page, PageSize size) {
    return page >= s.base && page.value() + bytes_of(size) <= s.base.value() + s.bytes;
  }

  // A word is stored with the bits of kLazy inverted: untouched (zero) words of a slot are lazy
  // frames.
  static constexpr uint64_t kInverted = static_cast<uint64_t>(FrameState::kLazy);
  P2mEntry entry(uint32_t i) const {
    return P2mEntry(entries_[i].load(std::memory_order_acquire) ^ kInverted);
  }
  // Release: whoever finds a frame here also finds it zeroed, or with the contents moved there.
  void set_entry(uint32_t i, P2mEntry e) {
    entries_[i].store(e.raw() ^ kInverted, std::memory_order_release);
  }

  // Slots (p2m.cc).
  P2mEntry outside(Gpa gpa) const;
  const Slot* slot_around(Gpa gpa) const;
  absl::Status check_range(Gpa base, uint64_t bytes) const;
  std::optional<uint32_t> free_numbers(uint64_t frames) const;
  void release_frames(const Slot& slot);
  void tell(Gpa first, uint64_t frames, Change change);

  // Backing (p2m_backing.cc).
  P2mEntry back_in(const Slot& slot, Gpa gpa);
  bool may_be_large(const Slot& slot, Gpa gpa, PageSize size) const;
  std::optional<Hpa> allocate_4k(const Slot& slot, Gpa gpa, uint64_t salt);
  void set_page(uint32_t first, Hpa block, PageSize size);

  // Changes (p2m_changes.cc).
  absl::StatusOr<P2mEntry> ram_entry(absl::string_view verb, Gpa gpa) const;
  void break_up(Gpa gpa);
  void copy_frame(Hpa from, Hpa to);

  // Dirty log (p2m_dirty_log.cc). Calls f(first number, first address, frames) for the part of each
  // slot that lies in the range.
  template <class F>
  void for_each_piece(Gpa first, uint64_t frames, F&& f) const;
  void forget_clean();
  bool any_logged() const;

  HostMemory* host_;
  std::vector<Slot> slots_;  // by address
  std::vector<Mmio> mmio_;
  std::vector<P2mListener*> listeners_;
  // One word per frame number: untouched parts cost nothing. Reserved once, so that `lookup` needs
  // no lock; empty if the system refused.
  LazyArray<std::atomic<uint64_t>> entries_;
  std::vector<uint32_t> dirty_;  // numbers of all dirty frames
  uint32_t next_index_ = 0;
  uint32_t generation_ = 0;
  std::atomic<bool> logging_{false};
  mutable VmLock lock_;
};

}  // namespace gnomon

#endif  // GNOMON_MEMORY_P2M_H_

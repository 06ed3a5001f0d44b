// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TESTS_MEMORY_P2M_MODEL_H_
#define GNOMON_TESTS_MEMORY_P2M_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "gnomon/memory/p2m.h"

// A P2m on a host of three 2M blocks, next to a naive model of it: an array with one record for
// each guest frame below 16 MiB. Every operation is done to both. Afterwards all frames are
// compared, every frame's contents (each write stores a number never used before), the ownership of
// the host frames, and whether the listener was told of everything before it happened.
//
// Each operation returns a description of the first difference, empty when there is none.

namespace gnomon {

class P2mModel : public P2mListener {
 public:
  static constexpr uint64_t kHostFrames = 3 * 512;
  static constexpr uint64_t kGuestFrames = 4096;

  P2mModel()
      : host_(std::move(*HostMemory::create(kHostFrames << 12))),
        p2m_(std::make_unique<P2m>(*host_)),
        frames_(kGuestFrames) {
    p2m_->add_listener(this);
  }

  P2m& p2m() { return *p2m_; }
  HostMemory& host() { return *host_; }
  uint64_t operations() const { return operations_; }

  std::string add_slot(uint64_t first, uint64_t count, const SlotOptions& options) {
    begin();
    absl::StatusCode expected = range_code(first, count);
    uint64_t room = host_free();
    if (expected == absl::StatusCode::kOk && !options.lazy && count > room) {
      expected = absl::StatusCode::kResourceExhausted;
    }
    const absl::Status got = p2m_->add_slot(gpa(first), count << 12, options);
    if (expected == absl::StatusCode::kOk) {
      slots_.push_back({first, count, options});
      for (uint64_t f = first; f < first + count; ++f) {
        frames_[f] = Frame();
        frames_[f].state = options.lazy ? FrameState::kLazy : FrameState::kRam;
        frames_[f].rom = options.rom;
        if (!options.lazy) adopt(f);
      }
    }
    return end("add_slot", first, expected, got.code());
  }

  std::string add_mmio(uint64_t first, uint64_t count) {
    begin();
    const absl::StatusCode expected = range_code(first, count);
    const absl::Status got = p2m_->add_mmio(gpa(first), count << 12);
    if (expected == absl::StatusCode::kOk) {
      for (uint64_t f = first; f < first + count; ++f) frames_[f].state = FrameState::kMmio;
    }
    return end("add_mmio", first, expected, got.code());
  }

  std::string remove_slot(uint64_t first) {
    begin();
    const auto slot =
        std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.first == first; });
    const bool found = slot != slots_.end();
    const absl::Status got = p2m_->remove_slot(gpa(first));
    if (found) {
      for (uint64_t f = first; f < first + slot->count; ++f) frames_[f] = Frame();
      slots_.erase(slot);
    }
    return end("remove_slot", first, found ? absl::StatusCode::kOk : absl::StatusCode::kNotFound,
               got.code());
  }

  std::string back(uint64_t f) {
    begin();
    const Slot* slot = slot_of(f);
    const bool large = slot != nullptr && slot->options.backing >= PageSize::k2M &&
                       region_in(*slot, f) && region_is(f, FrameState::kLazy) && host_has_block();
    const P2mEntry e = p2m_->back(gpa(f));
    std::string difference;
    if (frames_[f].state == FrameState::kLazy && host_free() != 0) {
      // Whether a region is fragmented is the slot's secret, unless none or all are.
      const uint8_t percent = slot->options.fragmented_percent;
      const bool got_large = e.is_ram() && e.size() == PageSize::k2M;
      if (got_large ? !large || percent == 100 : large && percent == 0) {
        difference = "back: unexpected page size; ";
      }
      const uint64_t from = got_large ? region(f) : f;
      for (uint64_t g = from; g < from + (got_large ? 512 : 1); ++g) {
        frames_[g].state = FrameState::kRam;
        frames_[g].size = got_large ? PageSize::k2M : PageSize::k4K;
        frames_[g].stamp = 0;
        adopt(g);
      }
    }
    if (e.raw() != p2m_->lookup(gpa(f)).raw())
      difference += "back: answer is not what lookup says; ";
    return difference + end("back", f, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  /// What a guest's store does.
  std::string write(uint64_t f) {
    if (std::string difference = back(f); !difference.empty()) return difference;
    begin();
    Frame& frame = frames_[f];
    if (frame.state == FrameState::kRam && !frame.rom) {
      if (p2m_->lookup(gpa(f)).write_logged()) p2m_->mark_dirty(gpa(f));
      frame.stamp = ++next_stamp_;
      uint64_t* words = reinterpret_cast<uint64_t*>(p2m_->ram_at(gpa(f)));
      words[0] = words[511] = frame.stamp;
      if (frame.logged) std::tie(frame.logged, frame.dirty) = std::make_pair(false, true);
    }
    return end("write", f, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  std::string remap(uint64_t f) {
    begin();
    absl::StatusCode expected = changeable_code(f);
    if (expected == absl::StatusCode::kOk && host_free() == 0) {
      expected = absl::StatusCode::kResourceExhausted;
    }
    const bool whole = frames_[f].size == PageSize::k2M && host_has_block();
    const Hpa before = frames_[f].hpa;
    const absl::Status got = p2m_->remap(gpa(f));
    std::string difference;
    if (expected == absl::StatusCode::kOk) {
      if (!whole) break_up(f);
      const uint64_t from = whole ? region(f) : f;
      for (uint64_t g = from; g < from + (whole ? 512 : 1); ++g) adopt(g);
      if (frames_[f].hpa == before) difference = "remap: the host frame is the same; ";
    }
    return difference + end("remap", f, expected, got.code());
  }

  std::string balloon(uint64_t f) {
    begin();
    absl::StatusCode expected = absl::StatusCode::kOk;
    if (slot_of(f) == nullptr) expected = absl::StatusCode::kNotFound;
    if (frames_[f].state == FrameState::kBallooned) {
      expected = absl::StatusCode::kFailedPrecondition;
    }
    const absl::Status got = p2m_->balloon(gpa(f));
    if (expected == absl::StatusCode::kOk) {
      break_up(f);
      frames_[f].state = FrameState::kBallooned;
    }
    return end("balloon", f, expected, got.code());
  }

  std::string deflate(uint64_t f) {
    begin();
    absl::StatusCode expected = absl::StatusCode::kFailedPrecondition;
    if (slot_of(f) == nullptr) expected = absl::StatusCode::kNotFound;
    if (frames_[f].state == FrameState::kBallooned) expected = absl::StatusCode::kOk;
    const absl::Status got = p2m_->deflate(gpa(f));
    if (expected == absl::StatusCode::kOk) frames_[f].state = FrameState::kLazy;
    return end("deflate", f, expected, got.code());
  }

  std::string split(uint64_t f) {
    begin();
    const absl::StatusCode expected = changeable_code(f);
    const absl::Status got = p2m_->split(gpa(f));
    if (expected == absl::StatusCode::kOk) break_up(f);
    return end("split", f, expected, got.code());
  }

  std::string promote(uint64_t f) {
    begin();
    absl::StatusCode expected = absl::StatusCode::kOk;
    const Slot* slot = slot_of(f);
    const uint64_t first = region(f);
    if (slot == nullptr) {
      expected = absl::StatusCode::kNotFound;
    } else if (!region_in(*slot, f)) {
      expected = absl::StatusCode::kFailedPrecondition;
    } else {
      bool in_place = true;
      for (uint64_t g = first; g < first + 512; ++g) {
        if (frames_[g].state == FrameState::kBallooned) {
          expected = absl::StatusCode::kFailedPrecondition;
        }
        in_place =
            in_place && frames_[g].state == FrameState::kRam &&
            frames_[g].hpa.offset_in(PageSize::k2M) == (g - first) << 12 &&
            frames_[g].hpa.page_base(PageSize::k2M) == frames_[first].hpa.page_base(PageSize::k2M);
      }
      if (expected == absl::StatusCode::kOk && !in_place && !host_has_block()) {
        expected = absl::StatusCode::kResourceExhausted;
      }
    }
    const absl::Status got = p2m_->promote(gpa(f));
    if (expected == absl::StatusCode::kOk) {
      for (uint64_t g = first; g < first + 512; ++g) {
        if (frames_[g].state == FrameState::kLazy) frames_[g].stamp = 0;
        frames_[g].state = FrameState::kRam;
        frames_[g].size = PageSize::k2M;
        adopt(g);
      }
    }
    return end("promote", f, expected, got.code());
  }

  std::string start_dirty_log(uint64_t first, uint64_t count) {
    begin();
    p2m_->start_dirty_log(gpa(first), count);
    for (uint64_t f = first; f < std::min(first + count, kGuestFrames); ++f) {
      if (slot_of(f) != nullptr) {
        std::tie(frames_[f].logged, frames_[f].dirty) = std::make_pair(true, false);
      }
    }
    return end("start_dirty_log", first, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  std::string stop_dirty_log(uint64_t first, uint64_t count) {
    begin();
    p2m_->stop_dirty_log(gpa(first), count);
    for (uint64_t f = first; f < std::min(first + count, kGuestFrames); ++f) {
      frames_[f].logged = frames_[f].dirty = false;
    }
    return end("stop_dirty_log", first, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  std::string take_dirty(uint64_t first, uint64_t count) {
    begin();
    std::vector<Gpa> expected;
    for (uint64_t f = first; f < std::min(first + count, kGuestFrames); ++f) {
      if (!frames_[f].dirty) continue;
      expected.push_back(gpa(f));
      std::tie(frames_[f].logged, frames_[f].dirty) = std::make_pair(true, false);
    }
    const std::vector<Gpa> got = p2m_->take_dirty(gpa(first), count);
    return (got == expected ? "" : "take_dirty: other frames; ") +
           end("take_dirty", first, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  std::string mark_dirty(uint64_t f) {
    begin();
    p2m_->mark_dirty(gpa(f));
    Frame& frame = frames_[f];
    if (frame.logged) std::tie(frame.logged, frame.dirty) = std::make_pair(false, true);
    return end("mark_dirty", f, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  /// Another user of the host takes a page, or gives its oldest one back.
  std::string host_takes(PageSize size, bool scattered, uint64_t random) {
    begin();
    const bool possible = size == PageSize::k4K ? host_free() != 0 : host_has_block();
    const std::optional<Hpa> page = scattered && size == PageSize::k4K
                                        ? host_->allocate_scattered(FrameOwner::kVmm, random)
                                        : host_->allocate(FrameOwner::kVmm, size);
    std::string difference;
    if (page.has_value() != possible) difference = "host: allocation should have gone otherwise; ";
    if (page) {
      const uint8_t* bytes = host_->at(*page);
      if (std::any_of(bytes, bytes + bytes_of(size), [](uint8_t b) { return b != 0; })) {
        difference += "host: page not zero; ";
      }
      std::fill_n(host_->at(*page), bytes_of(size), uint8_t{0xa5});
      others_.emplace_back(*page, size);
    }
    return difference + end("host_takes", 0, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }
  std::string host_gives_back() {
    begin();
    if (!others_.empty()) {
      host_->free(others_.front().first, others_.front().second);
      others_.erase(others_.begin());
    }
    return end("host_gives_back", 0, absl::StatusCode::kOk, absl::StatusCode::kOk);
  }

  void before_p2m_change(Gpa first, uint64_t frames, Change change) override {
    for (uint64_t f = first.frame(); f < first.frame() + frames; ++f) {
      if (told_[f] == 0 && p2m_->lookup(gpa(f)).raw() != before_[f].raw()) {
        listener_difference_ = "listener: told after the change; ";
      }
      told_[f] |= 1u << static_cast<unsigned>(change);
    }
  }

 private:
  struct Frame {
    FrameState state = FrameState::kAbsent;
    PageSize size = PageSize::k4K;
    bool rom = false, logged = false, dirty = false;
    uint64_t stamp = 0;
    Hpa hpa;
  };
  struct Slot {
    uint64_t first, count;
    SlotOptions options;
  };

  static Gpa gpa(uint64_t frame) { return Gpa::from_frame(frame); }
  static uint64_t region(uint64_t f) { return f & ~uint64_t{511}; }

  const Slot* slot_of(uint64_t f) const {
    for (const Slot& s : slots_) {
      if (f >= s.first && f < s.first + s.count) return &s;
    }
    return nullptr;
  }
  static bool region_in(const Slot& s, uint64_t f) {
    return region(f) >= s.first && region(f) + 512 <= s.first + s.count;
  }
  bool region_is(uint64_t f, FrameState state) const {
    for (uint64_t g = region(f); g < region(f) + 512; ++g) {
      if (frames_[g].state != state) return false;
    }
    return true;
  }
  absl::StatusCode range_code(uint64_t first, uint64_t count) const {
    if (count == 0) return absl::StatusCode::kInvalidArgument;
    for (uint64_t f = first; f < first + count; ++f) {
      if (frames_[f].state != FrameState::kAbsent) return absl::StatusCode::kAlreadyExists;
    }
    return absl::StatusCode::kOk;
  }
  absl::StatusCode changeable_code(uint64_t f) const {
    if (slot_of(f) == nullptr) return absl::StatusCode::kNotFound;
    if (frames_[f].state != FrameState::kRam) return absl::StatusCode::kFailedPrecondition;
    return absl::StatusCode::kOk;
  }
  void break_up(uint64_t f) {
    if (frames_[f].size != PageSize::k2M) return;
    for (uint64_t g = region(f); g < region(f) + 512; ++g) frames_[g].size = PageSize::k4K;
  }
  // Where a frame lies is the implementation's choice; take it over. `compare` judges it.
  void adopt(uint64_t f) {
    frames_[f].hpa = p2m_->lookup(gpa(f)).frame();
    if (!slot_of(f)->options.lazy && before_[f].state() == FrameState::kAbsent) {
      frames_[f].size = p2m_->lookup(gpa(f)).size();
    }
  }

  std::vector<bool> host_frames_in_use() const {
    std::vector<bool> used(kHostFrames);
    const uint64_t base = host_->base().frame();
    for (const Frame& f : frames_) {
      if (f.state == FrameState::kRam && host_->contains(f.hpa)) used[f.hpa.frame() - base] = true;
    }
    for (const auto& [page, size] : others_) {
      for (uint64_t i = 0; i < bytes_of(size) >> 12; ++i) used[page.frame() - base + i] = true;
    }
    return used;
  }
  uint64_t host_free() const {
    const std::vector<bool> used = host_frames_in_use();
    return static_cast<uint64_t>(std::count(used.begin(), used.end(), false));
  }
  bool host_has_block() const {
    const std::vector<bool> used = host_frames_in_use();
    for (uint64_t b = 0; b < kHostFrames; b += 512) {
      if (std::count(used.begin() + b, used.begin() + b + 512, true) == 0) return true;
    }
    return false;
  }

  void begin() {
    before_.resize(kGuestFrames);
    for (uint64_t f = 0; f < kGuestFrames; ++f) before_[f] = p2m_->lookup(gpa(f));
    told_.assign(kGuestFrames, 0);
    listener_difference_.clear();
    ++operations_;
  }

  std::string end(const char* operation, uint64_t f, absl::StatusCode expected,
                  absl::StatusCode got) {
    std::string difference = listener_difference_;
    if (expected != got) {
      difference += absl::StrFormat("answer %s, expected %s; ", absl::StatusCodeToString(got),
                                    absl::StatusCodeToString(expected));
    }
    if (got != absl::StatusCode::kOk &&
        std::count(told_.begin(), told_.end(), 0) != static_cast<int64_t>(kGuestFrames)) {
      difference += "listener told of a change that failed; ";
    }
    difference += compare();
    if (difference.empty()) return "";
    return absl::StrFormat("operation %d, %s of frame 0x%x: %s", operations_, operation, f,
                           difference);
  }

  std::string compare() const {
    std::vector<bool> host_frames(kHostFrames);
    for (uint64_t f = 0; f < kGuestFrames; ++f) {
      const Frame& m = frames_[f];
      const P2mEntry e = p2m_->lookup(gpa(f));
      const auto differs = [&](const char* what) {
        return absl::StrFormat("frame 0x%x (%s, raw 0x%x): %s", f, name_of(m.state), e.raw(), what);
      };
      if (e.state() != m.state) return differs("state");
      if (e.write_logged() != m.logged || e.dirty() != m.dirty) return differs("log");
      if (e.rom() != m.rom) return differs("rom");
      if (e.writable() != (!m.logged && !m.rom)) return differs("writable");
      const uint32_t number = p2m_->frame_index(gpa(f));
      if ((number != P2m::kNoIndex) != (slot_of(f) != nullptr)) return differs("frame_index");
      if (number != P2m::kNoIndex &&
          (number >= p2m_->frame_capacity() || p2m_->frame_at(number) != gpa(f))) {
        return differs("frame_at");
      }
      if (const char* what = told_difference(before_[f], e, told_[f])) return differs(what);
      if (m.state != FrameState::kRam) {
        if (p2m_->ram_at(gpa(f)) != nullptr) return differs("ram_at");
        continue;
      }
      if (e.frame() != m.hpa) return differs("host frame changed");
      if (e.size() != m.size) return differs("size");
      if (host_->owner(e.frame()) != FrameOwner::kGuestRam) return differs("owner");
      const uint64_t host_frame = e.frame().frame() - host_->base().frame();
      if (host_frames[host_frame]) return differs("host frame shared");
      host_frames[host_frame] = true;
      if (m.size == PageSize::k2M) {
        if (!region_in(*slot_of(f), f)) return differs("page leaves its slot");
        if (e.frame().offset_in(PageSize::k2M) != (f & 511) << 12) return differs("alignment");
        if (p2m_->lookup(gpa(region(f))).frame() != e.frame().page_base(PageSize::k2M)) {
          return differs("page in pieces");
        }
      }
      const uint64_t* words = reinterpret_cast<const uint64_t*>(p2m_->ram_at(gpa(f)));
      if (words[0] != m.stamp || words[511] != m.stamp || words[200] != 0)
        return differs("contents");
    }
    if (host_->free_bytes() != host_free() << 12) return "free bytes of the host";
    return "";
  }

  static const char* told_difference(P2mEntry before, P2mEntry after, uint32_t told) {
    const auto was_told = [&](Change c) { return (told >> static_cast<unsigned>(c)) & 1; };
    if (before.is_ram() && !after.is_ram()) {
      return was_told(Change::kRemoved) ? nullptr : "removal not told";
    }
    if (before.is_ram() && (before.frame() != after.frame() || before.size() != after.size())) {
      return was_told(Change::kMoved) ? nullptr : "move not told";
    }
    if (before.is_ram() && before.writable() && !after.writable()) {
      return was_told(Change::kWriteProtected) ? nullptr : "write protection not told";
    }
    if (before.state() == FrameState::kAbsent && after.state() != FrameState::kAbsent) {
      return was_told(Change::kAppeared) ? nullptr : "appearance not told";
    }
    return nullptr;
  }

  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::vector<Frame> frames_;
  std::vector<Slot> slots_;
  std::vector<std::pair<Hpa, PageSize>> others_;
  std::vector<P2mEntry> before_;
  std::vector<uint32_t> told_;
  std::string listener_difference_;
  uint64_t next_stamp_ = 0;
  uint64_t operations_ = 0;
};

/// Runs `bytes` as a sequence of operations, at most 60; the first difference, or empty.
inline std::string run_p2m_program(const uint8_t* bytes, size_t size) {
  P2mModel m;
  size_t at = 0;
  const auto byte = [&]() -> uint64_t { return at < size ? bytes[at++] : 0; };
  const auto frame = [&] { return (byte() | byte() << 8) % P2mModel::kGuestFrames; };
  // A range inside the guest, of at most 2048 frames; often one that ends at a 2M boundary.
  const auto count_from = [&](uint64_t first) {
    const uint64_t raw = byte();
    const uint64_t n = raw & 0x80 ? ((raw & 3) + 1) * 512 - first % 512 : (raw & 0x7f) * 5;
    return std::min(n, P2mModel::kGuestFrames - first);
  };
  std::string difference;
  while (at < size && difference.empty() && m.operations() < 60) {
    const uint64_t operation =
        m.operations() < 2 ? 0 : byte() % 19;  // nothing happens without slots
    uint64_t f = frame();
    if (operation == 0 && f % 2 == 0) f &= ~uint64_t{511};
    switch (operation) {
      case 0: {
        const uint64_t bits = byte();
        SlotOptions options;
        options.backing = bits & 1 ? PageSize::k2M : bits & 2 ? PageSize::k1G : PageSize::k4K;
        options.placement = bits & 4 ? Placement::kScattered : Placement::kContiguous;
        options.lazy = (bits & 24) != 0;
        options.rom = (bits & 0xe0) == 0xe0;
        options.fragmented_percent = bits & 32 ? 0 : bits & 64 ? 50 : 100;
        options.seed = bits;
        difference = m.add_slot(f, count_from(f), options);
        break;
      }
      case 1: difference = m.add_mmio(f, count_from(f) % 16); break;
      case 2: difference = m.remove_slot(f & 1 ? f : f & ~uint64_t{511}); break;
      case 3: difference = m.back(f); break;
      case 4:
      case 5: difference = m.write(f); break;
      case 6: difference = m.remap(f); break;
      case 7: difference = m.balloon(f); break;
      case 8: difference = m.deflate(f); break;
      case 9: difference = m.split(f); break;
      case 10: difference = m.promote(f); break;
      case 11: difference = m.start_dirty_log(f, count_from(f)); break;
      case 12: difference = m.stop_dirty_log(f, count_from(f)); break;
      case 13: difference = m.take_dirty(f, count_from(f)); break;
      case 14: difference = m.mark_dirty(f); break;
      case 15: difference = m.host_takes(f & 1 ? PageSize::k4K : PageSize::k2M, f & 2, f); break;
      case 16: difference = m.host_gives_back(); break;
      case 17:  // the same frame again and again: states beyond the first
        for (int i = 0; i < 4 && difference.empty(); ++i) {
          switch (byte() % 6) {
            case 0: difference = m.balloon(f); break;
            case 1: difference = m.deflate(f); break;
            case 2: difference = m.write(f); break;
            case 3: difference = m.remap(f); break;
            case 4: difference = m.split(f); break;
            case 5: difference = m.promote(f); break;
          }
        }
        break;
      case 18:  // a run of neighbours
        for (uint64_t i = 0; i < 16 && f + i < P2mModel::kGuestFrames && difference.empty(); ++i) {
          difference = m.write(f + i);
        }
        break;
    }
  }
  return difference;
}

}  // namespace gnomon

#endif  // GNOMON_TESTS_MEMORY_P2M_MODEL_H_

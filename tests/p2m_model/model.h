// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_P2M_MODEL_MODEL_H_
#define TESTS_P2M_MODEL_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gnomon/memory/p2m.h"

namespace gnomon {

/// A P2m on a host of three 2M blocks, next to a naive model of it: an array with one record for
/// each guest frame below 16 MiB. Every operation is done to both. Afterwards all frames are
/// compared, every frame's contents (each write stores a number never used before), the ownership
/// of the host frames, and whether the listener was told of everything before it happened.
///
/// Each operation returns a description of the first difference, empty when there is none.
class P2mModel : public P2mListener {
 public:
  static constexpr uint64_t kHostFrames = 3 * 512;
  static constexpr uint64_t kGuestFrames = 4096;

  P2mModel();

  P2m& p2m() { return *p2m_; }
  HostMemory& host() { return *host_; }
  uint64_t operations() const { return operations_; }

  std::string add_slot(uint64_t first, uint64_t count, const SlotOptions& options);
  std::string add_mmio(uint64_t first, uint64_t count);
  std::string remove_slot(uint64_t first);
  std::string back(uint64_t f);
  /// What a guest's store does.
  std::string write(uint64_t f);
  std::string remap(uint64_t f);
  std::string balloon(uint64_t f);
  std::string deflate(uint64_t f);
  std::string split(uint64_t f);
  std::string promote(uint64_t f);

  std::string start_dirty_log(uint64_t first, uint64_t count);
  std::string stop_dirty_log(uint64_t first, uint64_t count);
  std::string take_dirty(uint64_t first, uint64_t count);
  std::string mark_dirty(uint64_t f);

  /// Another user of the host takes a page, or gives its oldest one back.
  std::string host_takes(PageSize size, bool scattered, uint64_t random);
  std::string host_gives_back();

  void before_p2m_change(Gpa first, uint64_t frames, Change change) override;

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

  const Slot* slot_of(uint64_t f) const;
  static bool region_in(const Slot& s, uint64_t f) {
    return region(f) >= s.first && region(f) + 512 <= s.first + s.count;
  }
  bool region_is(uint64_t f, FrameState state) const;
  absl::StatusCode range_code(uint64_t first, uint64_t count) const;
  absl::StatusCode changeable_code(uint64_t f) const;
  void break_up(uint64_t f);
  // Where a frame lies is the implementation's choice; take it over. `compare` judges it.
  void adopt(uint64_t f);

  std::vector<bool> host_frames_in_use() const;
  uint64_t host_free() const;
  bool host_has_block() const;

  void begin();
  std::string end(const char* operation, uint64_t f, absl::StatusCode expected,
                  absl::StatusCode got);
  std::string compare() const;
  static const char* told_difference(P2mEntry before, P2mEntry after, uint32_t told);

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

}  // namespace gnomon

#endif  // TESTS_P2M_MODEL_MODEL_H_

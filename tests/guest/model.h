// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_MODEL_H_
#define TESTS_GUEST_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "gnomon/traces/event.h"
#include "tests/guest/machine.h"

namespace gnomon::guest_test {

/// What processes must see, page by page, without page tables: the naive reference. A page of the
/// window has contents (one number) that are the process's own, or those of a file or of shared
/// memory.
class Model {
 public:
  static constexpr uint64_t kBase = 0x4000'0000;
  static constexpr uint64_t kPages = 3 * 512;

  using ObjectPage = std::pair<uint64_t, uint64_t>;  // object, page in it
  struct Own {
    uint64_t token;  // the same in two pages: they must be one frame
    uint64_t value;
  };
  struct Page {
    MapFlags flags = 0;
    ObjectPage object{0, 0};
    std::optional<Own> own;
    bool shared() const { return (flags & kMapShared) != 0; }
  };
  using Space = std::vector<std::optional<Page>>;

  static uint64_t address(uint64_t page) { return kBase + page * kPage; }

  void map(uint32_t process, uint64_t first, uint64_t count, MapFlags flags, uint64_t file,
           uint64_t offset_pages);
  void unmap(uint32_t process, uint64_t first, uint64_t count);
  void protect(uint32_t process, uint64_t first, uint64_t count, MapFlags rights);
  void drop(uint32_t process, uint64_t first, uint64_t count);
  void move(uint32_t process, uint64_t from, uint64_t count, uint64_t to, uint64_t new_count);
  void fork(uint32_t process, uint32_t child) { spaces[child] = spaces[process]; }
  void end(uint32_t process) { spaces.erase(process); }

  bool permits(uint32_t process, uint64_t page, AccessOp op);
  /// The page was touched (whether by an access, or because it was populated).
  void touched(uint32_t process, uint64_t page);
  uint64_t value(uint32_t process, uint64_t page);
  void write(uint32_t process, uint64_t page, uint64_t value);
  /// Pages of objects that are cached, but for those of shared memory that nobody maps.
  uint64_t cached() const;

  std::map<uint32_t, Space> spaces;

 private:
  Space& space(uint32_t process) {
    Space& s = spaces[process];
    if (s.empty()) s.resize(kPages);
    return s;
  }
  std::map<ObjectPage, uint64_t> contents_;
  std::set<ObjectPage> cached_;
  uint64_t tokens_ = 0;
  uint64_t memories_ = 1 << 20;
};

}  // namespace gnomon::guest_test

#endif  // TESTS_GUEST_MODEL_H_

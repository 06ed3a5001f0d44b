// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NAIVE_NAIVE_MMU_H_
#define TESTS_NAIVE_NAIVE_MMU_H_

#include <array>
#include <optional>
#include <string>

#include "gnomon/base/outcome.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/x86/access.h"
#include "gnomon/x86/controls.h"

// The reference that the tests believe: guest walk and p2m composed in the slowest and most obvious
// way, written from the manual (SDM vol. 3, chapter 4). It shares no walker, format or rule with the
// engine, so that a mistake has to be made twice to go unnoticed.

namespace gnomon {

struct NaiveResult {
  /// One accessed or dirty flag update, in the order the processor makes them.
  struct Update {
    Gpa at;
    uint64_t before = 0;
    uint64_t after = 0;
    uint8_t level = 0;
    friend bool operator==(const Update&, const Update&) = default;
  };

  Outcome outcome = Outcome::kTranslated;
  HostCause cause = HostCause::kNone;
  uint8_t level = 0;        ///< as Translation::level
  uint32_t error_code = 0;  ///< kGuestFault only
  /// The byte accessed, or for a refused table the address of its entry; not set by a guest fault.
  Gpa gpa;
  /// The byte accessed in host memory; nullopt when not translated, or when the page is lazy still.
  std::optional<Hpa> hpa;

  // The guest's own mapping, when its walk reached a page.
  PageSize guest_size = PageSize::k4K;
  Rights rights = 0;  ///< composed along the walk, dirty or not
  uint8_t key = 0;
  bool global = false;
  bool dirty = false;  ///< the leaf's dirty flag after this access
  uint8_t leaf_level = 0;

  // At most one of A per level and one of A, D at the leaf.
  std::array<Update, 6> updates;
  unsigned update_count = 0;

  bool ok() const { return outcome == Outcome::kTranslated; }
};

class NaiveMmu {
 public:
  /// Reads tables from the RAM of `p2m` (lazy frames read zero), which it never changes otherwise: no
  /// frame is backed, no dirty log touched.
  explicit NaiveMmu(const P2m& p2m) : p2m_(p2m) {}

  /// One access of a processor without any TLB. `commit` writes the accessed and dirty flags to guest
  /// memory; without it the answer is the same, `updates` included. `access.probe()` is ignored.
  NaiveResult translate(const Controls& controls, const CpuModel& cpu, Gva va, Access access,
                        bool commit) const;

 private:
  const P2m& p2m_;
};

/// Empty if `got`, an answer of Backend::miss on a machine with the p2m `p2m`, is what the model
/// predicts; otherwise what differs. A host without free frames is not a difference.
std::string difference(const NaiveResult& expected, const Translation& got, const P2m& p2m);

/// As to_string(Translation).
std::string to_string(const NaiveResult& r);

}  // namespace gnomon

#endif  // TESTS_NAIVE_NAIVE_MMU_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_GROWER_H_
#define TESTS_CPU_NATIVE_GROWER_H_

#include <array>
#include <cstdint>

#include "gnomon/vmm/cpu_state.h"
#include "tests/cpu_native/generator.h"

// How a snippet grows by one instruction: what it needs of registers and memory must go with what
// is there.

namespace gnomon::vmm::native {

bool is_locked(const Decoding& d);
/// Has it a prefix that repeats it?
bool repeats(const Decoding& d);

// What is known while a snippet grows.
struct Growth {
  std::array<Role, 16> roles{};
  std::array<bool, 16> intact{};  ///< the register still holds what it was given
  bool stack = true;              ///< RSP points into the stack
  bool ends = false;              ///< nothing follows
  uint32_t undefined = 0;         ///< flags
};

class Grower {
 public:
  Grower(scenario::Random& rng, const GeneratorOptions& options, Snippet& s)
      : rng_(rng), options_(options), s_(s) {
    g_.intact.fill(true);
    g_.roles[kRsp] = Role::kStackPointer;
  }

  bool try_template();
  bool try_random();
  bool admit(Piece p);
  const Growth& growth() const { return g_; }

 private:
  bool wants(unsigned reg, Role role) {
    if (reg >= 16 || !g_.intact[reg]) return false;
    if (g_.roles[reg] == Role::kFree) g_.roles[reg] = role;
    return g_.roles[reg] == role;
  }
  bool wild() { return options_.wild && rng_.percent(2); }
  bool place_memory(Piece& p, const ZydisDecodedOperand& o);
  bool place_memories(Piece& p);
  bool place_branch(Piece& p);
  bool place_special(Piece& p);
  bool decode_and_admit(const uint8_t* bytes);
  void set_disp(Piece& p, int64_t value);
  void set_imm(Piece& p, unsigned which, uint64_t value);
  uint64_t data_target(const Piece& p);

  scenario::Random& rng_;
  const GeneratorOptions& options_;
  Snippet& s_;
  Growth g_;
};

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_GROWER_H_

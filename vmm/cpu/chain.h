// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_CHAIN_H_
#define VMM_CPU_CHAIN_H_

#include <cstdint>

#include "vmm/cpu/cpu.h"

// From block to block. After the last instruction of a block stands its end (op_end), an op to
// which `next` comes when no branch was taken; and after a relative branch one more, which stands
// for the branch taken (kTakenLink ops after the branch). Each knows its target as a distance from
// the block's start (Op::imm).
//
//  1. Links within a page go to the target's ops directly once the dispatcher has seen where they
//     lead: a block lies in the page that its bytes are fetched from, and so does the target,
//     whatever else is mapped now. Others ask the table of jumps.
//  2. Nothing is linked in modes with segment limits, nor blocks of single instructions.
//  3. When a block becomes stale, the links to it go back to the dispatcher, and are resolved anew.

namespace gnomon::vmm {

struct Block;

/// Where the link of the branch taken is, relative to the branch.
inline constexpr unsigned kTakenLink = 2;

/// Is anything linked in this mode?
inline bool mode_links(uint8_t mode) {
  return (mode & code_mode::kFlat) != 0 && (mode & code_mode::kSingle) == 0;
}

/// The end of a block of `instructions` instructions: it goes on `distance` bytes from the block's
/// start. `host`: where the block's bytes lie; `branch`: it comes after a branch.
Op make_link(uint8_t mode, const uint8_t* host, uint64_t distance, unsigned instructions,
             bool branch);
/// The block that follows `link` (Cpu::link) has been found.
void resolve_link(const Op* link, Block& target);
/// `target`, where `link` goes, becomes stale.
void unresolve_link(const Op* link, const Block& target);
/// The op leaves for the dispatcher from now on.
void make_stale(Op& op);

/// The relative branch `op` is taken.
inline void take(Cpu& cpu, const Op* op) { return op[kTakenLink].run(cpu, op + kTakenLink); }

}  // namespace gnomon::vmm

#endif  // VMM_CPU_CHAIN_H_

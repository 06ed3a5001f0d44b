// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_PAGED_GUEST_PAGED_GUEST_H_
#define TESTS_PAGED_GUEST_PAGED_GUEST_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"

namespace gnomon::vmm {

/// A machine with a few instructions at 1 MiB that turn paging on, and their tables in place.
///
/// 32-bit: page 0xc0000000 (user, writable) is 0x200000, and 0xc0001000 (user, read-only) 0x201000; the code's two pages lie at
/// their own address. It adds 1 to the word at 0xc0000000, and ends with success: 13 instructions.
///
/// Long: 4-level paging, two 2M pages at address 0 and at -512 GiB: code; and one that is read-only, global and without
/// execution. It ends in a jump to itself, after 11 instructions.
std::unique_ptr<Machine> paged_guest_32(absl::string_view backend, unsigned cpus = 1);
std::unique_ptr<Machine> paged_guest_long(absl::string_view backend);

/// Where the instruction `movl (%ebx), %ecx` of the 32-bit guest is; the six before it turn paging on and load EBX.
inline constexpr uint64_t kPagedCode = 0x100000, kPagedLoad = 0x100018;
inline constexpr uint64_t kPagedData = 0xc0000000;

}  // namespace gnomon::vmm

#endif  // TESTS_PAGED_GUEST_PAGED_GUEST_H_

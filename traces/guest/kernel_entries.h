// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_KERNEL_ENTRIES_H_
#define TRACES_GUEST_KERNEL_ENTRIES_H_

#include <cstdint>

#include "gnomon/guest/cpu.h"
#include "traces/guest/page_table.h"

namespace gnomon::guest {

enum class EntryCause : uint8_t { kFault, kSyscall, kInterrupt, kSwitch };

/// What kernel code itself touches when it runs: a fixed number of pages for each cause
/// (docs/guest-model.md has the table). `task` tells processes apart, `detail` system calls.
void enter_kernel(GuestCpu& cpu, PageTables& tables, EntryCause cause, uint64_t task,
                  uint64_t detail = 0);

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_KERNEL_ENTRIES_H_

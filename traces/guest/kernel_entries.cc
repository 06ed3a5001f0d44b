// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/kernel_entries.h"

#include <array>

#include "traces/guest/kernel_map.h"

namespace gnomon::guest {
namespace {

enum class Where : uint8_t { kText, kCallText, kStack, kCpuData, kTask, kMm };

struct Touch {
  EntryCause cause;
  Where where;
  uint32_t offset;
  AccessOp op;
};

constexpr uint64_t kTasks = 256;  // tasks of different numbers share their lines beyond that
constexpr uint64_t kTaskBytes = 4096;
constexpr uint64_t kMmStart = kTasks * kTaskBytes;
constexpr uint64_t kCalls = 256;
static_assert(kMmStart + kTasks * kTaskBytes <= kBlockBytes);

constexpr auto kFetch = AccessOp::kFetch;
constexpr auto kRead = AccessOp::kRead;
constexpr auto kWrite = AccessOp::kWrite;

constexpr auto kTouches = std::to_array<Touch>({
    // Page fault: the entry stub, the handler, finding the mapping, the memory manager, the way
    // out.
    {EntryCause::kFault, Where::kText, 0x000b40, kFetch},
    {EntryCause::kFault, Where::kStack, 0x3f58, kWrite},
    {EntryCause::kFault, Where::kText, 0x06a200, kFetch},
    {EntryCause::kFault, Where::kTask, 0x0040, kRead},
    {EntryCause::kFault, Where::kMm, 0x0080, kRead},
    {EntryCause::kFault, Where::kText, 0x23c400, kFetch},
    {EntryCause::kFault, Where::kText, 0x001180, kFetch},
    // System call: the entry stub, the dispatcher, the call itself, the way out.
    {EntryCause::kSyscall, Where::kText, 0x000040, kFetch},
    {EntryCause::kSyscall, Where::kCpuData, 0x0010, kRead},
    {EntryCause::kSyscall, Where::kStack, 0x3f58, kWrite},
    {EntryCause::kSyscall, Where::kText, 0x0f0300, kFetch},
    {EntryCause::kSyscall, Where::kTask, 0x0000, kRead},
    {EntryCause::kSyscall, Where::kCallText, 0x000000, kFetch},
    {EntryCause::kSyscall, Where::kText, 0x001180, kFetch},
    // Interrupt: the entry stub, the timer, the scheduler's tick, the way out.
    {EntryCause::kInterrupt, Where::kText, 0x000e00, kFetch},
    {EntryCause::kInterrupt, Where::kStack, 0x3f58, kWrite},
    {EntryCause::kInterrupt, Where::kText, 0x12c600, kFetch},
    {EntryCause::kInterrupt, Where::kCpuData, 0x0440, kWrite},
    {EntryCause::kInterrupt, Where::kText, 0x0ad800, kFetch},
    {EntryCause::kInterrupt, Where::kTask, 0x0100, kWrite},
    {EntryCause::kInterrupt, Where::kText, 0x001180, kFetch},
    // Context switch: the scheduler, the switch of address spaces, the switch of stacks.
    {EntryCause::kSwitch, Where::kText, 0x0a9000, kFetch},
    {EntryCause::kSwitch, Where::kCpuData, 0x0400, kWrite},
    {EntryCause::kSwitch, Where::kTask, 0x0200, kWrite},
    {EntryCause::kSwitch, Where::kMm, 0x0000, kRead},
    {EntryCause::kSwitch, Where::kText, 0x07b900, kFetch},
    {EntryCause::kSwitch, Where::kStack, 0x3e00, kWrite},
});

// Handlers of system calls lie in the second page of text.
constexpr uint64_t kCallStart = 0x200000;
static_assert(kCallStart + kCalls * 4096 <= KernelMap::kTextPages * kBlockBytes);

Gva address_of(const Touch& touch, unsigned cpu, uint64_t task, uint64_t detail) {
  const uint64_t of_cpu = KernelMap::kPerCpu + cpu * KernelMap::kPerCpuBytes % kBlockBytes;
  const uint64_t of_task = KernelMap::kData + task % kTasks * kTaskBytes;
  switch (touch.where) {
    case Where::kText: return Gva(KernelMap::kText + touch.offset);
    case Where::kCallText: return Gva(KernelMap::kText + kCallStart + detail % kCalls * 4096);
    case Where::kStack: return Gva(of_cpu + touch.offset);
    case Where::kCpuData: return Gva(of_cpu + KernelMap::kStackBytes + touch.offset);
    case Where::kTask: return Gva(of_task + touch.offset);
    case Where::kMm: return Gva(of_task + kMmStart + touch.offset);
  }
  return Gva(KernelMap::kText);
}

}  // namespace

void enter_kernel(GuestCpu& cpu, PageTables& tables, EntryCause cause, uint64_t task,
                  uint64_t detail) {
  for (const Touch& touch : kTouches) {
    if (touch.cause != cause) continue;
    tables.access(cpu, address_of(touch, cpu.id(), task, detail),
                  {touch.op, Privilege::kSupervisor});
  }
}

}  // namespace gnomon::guest

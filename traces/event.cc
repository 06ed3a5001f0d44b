// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/event.h"

namespace gnomon {
namespace {

using enum EventKind;
constexpr EventFields P = kFieldProcess, T = kFieldThread, F = kFieldFlags, A = kFieldAddress,
                      L = kFieldLength, V = kFieldValue, X = kFieldExtra, I = kFieldFile,
                      S = kFieldText;

constexpr std::array<EventInfo, kEventKindCount> kTable = {{
    {kSwitch, "switch", P | T, "this process and thread run from here on"},
    {kThread, "thread", P | T, "this thread starts"},
    {kFork, "fork", P | V, "the process makes process `value`, a copy of itself"},
    {kExec, "exec", P | S, "the process starts a new program in an empty address space"},
    {kExit, "exit", P | T | F | V, "the thread ends (flags 1: its whole process) with a status"},
    {kMap, "map", F | A | L | V | I | S, "a mapping is made: rights and nature, file, offset in it"},
    {kUnmap, "unmap", A | L, "what is mapped there goes"},
    {kProtect, "protect", F | A | L, "new rights"},
    {kBreak, "break", A, "the heap ends at this address"},
    {kRemap, "remap", A | L | V | X, "a mapping moves: address and length become value and extra"},
    {kAdvise, "advise", A | L | V, "1: contents dropped, 2: huge pages wanted, 3: not wanted"},
    {kSyscall, "syscall", V, "system call by its number"},
    {kKernelRead, "kernel_read", A | L, "the kernel reads these bytes of the process"},
    {kKernelWrite, "kernel_write", A | L, "the kernel writes these bytes of the process"},
    {kGuest, "guest", A | L | V | X, "a guest with memory [0, length), EFER, CR0 and CR4"},
    {kTableWrite, "table_write", F | A | V, "a store of `flags` bytes to a guest-physical address"},
    {kCr3, "cr3", V, "MOV to CR3"},
    {kInvlpg, "invlpg", A, "INVLPG"},
    {kInvpcid, "invpcid", F | A | V, "INVPCID: type, address, PCID"},
    {kControls, "controls", A | V | X, "EFER, CR0 and CR4 are loaded"},
    {kTlbOp, "tlb_op", F | A | V | X, "a TLB-management instruction and its operands"},
    {kMark, "mark", F | S, "0: a point, 1: a region of interest begins, 2: it ends"},
    {kTableRead, "table_read", F | A, "a load of `flags` bytes from a guest-physical address"},
    {kClearPage, "clear_page", A, "the page at a guest-physical address is cleared"},
    {kCopyPage, "copy_page", A | V, "the page at guest-physical `value` is copied to `address`"},
    {kStoreValue, "store_value", F | A | V | X, "a store to a table, by guest-virtual address: bytes, value, guest-physical address"},
    {kContents, "contents", A | V, "eight bytes at a guest-physical address, however they came there"},
    {kDevices, "devices", A | L, "devices lie at these guest-physical addresses"},
    {kRights, "rights", F | V, "EFLAGS.AC and PKRU change"},
}};

consteval bool in_order() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].kind) != i || kTable[i].name.empty()) return false;
  }
  return true;
}
static_assert(in_order(), "an event is missing or out of order");

}  // namespace

const std::array<EventInfo, kEventKindCount>& event_table() { return kTable; }

}  // namespace gnomon

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gnomon_tool.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_vki.h"
#include "pub_tool_vkiscnums.h"

static const UWord kKilled = 128;
static UWord exit_status = 128;

UWord gn_kernel_exit_status(void) { return exit_status; }

static void before_syscall(ThreadId tid, UInt number, UWord* args, UInt count) {
  (void)count;
  const struct gnomon_event event = {.kind = GNOMON_SYSCALL, .value = number};
  gn_send(tid, event, NULL);
  gn_memory_before_syscall(tid, number, args);
  switch (number) {
    case __NR_execve:
    case __NR_execveat: gn_process_before_exec(); break;
    case __NR_exit:
    case __NR_exit_group: exit_status = args[0] & 0xff; break;
    default: break;
  }
}

static void after_syscall(ThreadId tid, UInt number, UWord* args, UInt count, SysRes result) {
  (void)count;
  if (!sr_isError(result)) gn_memory_syscall(tid, number, args, sr_Res(result));
}

static void kernel_reads(CorePart part, ThreadId tid, const HChar* what, Addr address, SizeT size) {
  (void)what;
  if (part != Vg_CoreSysCall || size == 0) return;
  /* The call is yet to be made: what the kernel will refuse is not read. */
  if (!VG_(am_is_valid_for_client)(address, size, VKI_PROT_READ)) return;
  const struct gnomon_event event = {
      .kind = GNOMON_KERNEL_READ, .address = address, .length = size};
  gn_send(tid, event, NULL);
}

static void kernel_reads_string(CorePart part, ThreadId tid, const HChar* what, Addr address) {
  enum { kPage = 4096, kMost = 4096 }; /* PATH_MAX */
  SizeT size = 0;
  while (size < kMost) {
    const Addr at = address + size;
    if ((size == 0 || at % kPage == 0) && !VG_(am_is_valid_for_client)(at, 1, VKI_PROT_READ)) break;
    ++size;
    if (*(const HChar*)at == '\0') break;
  }
  kernel_reads(part, tid, what, address, size);
}

static void kernel_wrote(CorePart part, ThreadId tid, Addr address, SizeT size) {
  if ((part != Vg_CoreSysCall && part != Vg_CoreSignal) || size == 0) return;
  const struct gnomon_event event = {
      .kind = GNOMON_KERNEL_WRITE, .address = address, .length = size};
  gn_send(tid, event, NULL);
}

static void client_code_starts(ThreadId tid, ULong blocks) {
  (void)blocks;
  gn_thread_runs(tid);
}

static void client_code_stops(ThreadId tid, ULong blocks) {
  (void)tid, (void)blocks;
  gn_settle();
}

static void thread_starts(ThreadId tid) {
  static Bool program_runs = False;
  if (!program_runs) gn_memory_at_first_instruction(tid);
  program_runs = True;
  const struct gnomon_event event = {.kind = GNOMON_THREAD_START};
  gn_send(tid, event, NULL);
}

static void thread_exits(ThreadId tid) {
  const struct gnomon_event event = {.kind = GNOMON_THREAD_EXIT};
  gn_send(tid, event, NULL);
}

void gn_kernel_start(void) {
  exit_status = kKilled;
  VG_(needs_syscall_wrapper)(before_syscall, after_syscall);
  VG_(track_pre_mem_read)(kernel_reads);
  VG_(track_pre_mem_read_asciiz)(kernel_reads_string);
  VG_(track_post_mem_write)(kernel_wrote);
  VG_(track_start_client_code)(client_code_starts);
  VG_(track_stop_client_code)(client_code_stops);
  VG_(track_pre_thread_first_insn)(thread_starts);
  VG_(track_pre_thread_ll_exit)(thread_exits);
}

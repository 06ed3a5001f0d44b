/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gnomon_tool.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_machine.h"
#include "pub_tool_vki.h"
#include "pub_tool_vkiscnums.h"

/* Of the kernel's interface; valgrind's headers lack them. */
enum {
  kMapGrowsdown = 0x100,
  kMapLocked = 0x2000,
  kMapPopulate = 0x8000,
  kMapHugetlb = 0x40000,
  kAdviceDontneed = 4,
  kAdviceRemove = 9,
  kAdviceHugepage = 14,
  kAdviceNohugepage = 15,
};

/* Where the program's heap begins; the core exports it to itself only. */
extern Addr VG_(brk_base);

static ULong page_end(ULong length) { return (length + 4095) & ~(ULong)4095; }

/* One number for each file, never 0. */
static ULong file_number(ULong device, ULong inode) {
  ULong mixed = (device + 1) * 0x9e3779b97f4a7c15ULL ^ (inode + 1) * 0xc2b2ae3d27d4eb4fULL;
  mixed ^= mixed >> 29;
  return mixed ? mixed : 1;
}

static UInt rights(Bool read, Bool write, Bool execute) {
  return (read ? GNOMON_MAP_READ : 0u) | (write ? GNOMON_MAP_WRITE : 0u) |
         (execute ? GNOMON_MAP_EXEC : 0u);
}

static UInt rights_of_protection(UWord protection) {
  return rights((protection & VKI_PROT_READ) != 0, (protection & VKI_PROT_WRITE) != 0,
                (protection & VKI_PROT_EXEC) != 0);
}

static void send_segment(ThreadId tid, const NSegment* segment) {
  /* The heap's first page; GNOMON_BREAK tells of it. */
  if (segment->kind == SkAnonC && segment->start == VG_(brk_base)) return;
  struct gnomon_event event = {.kind = GNOMON_MAP,
                               .flags = rights(segment->hasR, segment->hasW, segment->hasX),
                               .address = segment->start,
                               .length = segment->end + 1 - segment->start};
  const HChar* name = NULL;
  if (segment->kind == SkFileC) {
    event.file = file_number(segment->dev, segment->ino);
    event.value = (ULong)segment->offset;
    name = VG_(am_get_filename)(segment);
  }
  const Addr stack = VG_(get_SP)(tid);
  if (segment->start <= stack && stack <= segment->end) {
    event.flags |= GNOMON_MAP_STACK;
    name = "[stack]";
  }
  gn_send(tid, event, name);
}

/* The pages of valgrind that the program runs code from, in place of the kernel's vsyscall page,
 * count as the program's. */
void gn_memory_at_first_instruction(ThreadId tid) {
  static Addr starts[512];
  const Int count = VG_(am_get_segment_starts)(SkFileC | SkAnonC | SkShmC, starts,
                                               sizeof starts / sizeof *starts);
  for (Int i = 0; i < count; ++i) {
    const NSegment* segment = VG_(am_find_nsegment)(starts[i]);
    if (segment) send_segment(tid, segment);
  }
  gn_send(tid, (struct gnomon_event){.kind = GNOMON_BREAK, .address = VG_(brk_base)}, NULL);
}

static void mapped(ThreadId tid, const UWord* args, UWord result) {
  const UWord flags = args[3];
  struct gnomon_event event = {.kind = GNOMON_MAP,
                               .flags = rights_of_protection(args[2]),
                               .address = result,
                               .length = page_end(args[1])};
  /* The types are 1 shared, 2 private, 3 shared and checked. */
  if (flags & VKI_MAP_SHARED) event.flags |= GNOMON_MAP_SHARED;
  if (flags & kMapGrowsdown) event.flags |= GNOMON_MAP_STACK;
  if (flags & kMapHugetlb) event.flags |= GNOMON_MAP_HUGE;
  if (flags & (kMapPopulate | kMapLocked)) event.flags |= GNOMON_MAP_POPULATE;

  static HChar path[GNOMON_TEXT_MOST + 1];
  path[0] = '\0';
  if (!(flags & VKI_MAP_ANONYMOUS)) {
    const Int fd = (Int)args[4];
    struct vg_stat status;
    if (VG_(fstat)(fd, &status) == 0) event.file = file_number(status.dev, status.ino);
    event.value = args[5];
    HChar link[40];
    VG_(snprintf)(link, sizeof link, "/proc/self/fd/%d", fd);
    const SSizeT length = VG_(readlink)(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
  }
  gn_send(tid, event, path);
}

static void attached(ThreadId tid, const UWord* args, UWord result) {
  const NSegment* segment = VG_(am_find_nsegment)(result);
  if (!segment) return;
  const struct gnomon_event event = {
      .kind = GNOMON_MAP,
      .flags = rights(segment->hasR, segment->hasW, segment->hasX) | GNOMON_MAP_SHARED,
      .address = segment->start,
      .length = segment->end + 1 - segment->start,
      .file = file_number(~0ULL, args[0]), /* no device: a segment of System V */
  };
  gn_send(tid, event, "[shm]");
}

static ULong detached_length = 0;

void gn_memory_before_syscall(ThreadId tid, UInt number, const UWord* args) {
  (void)tid;
  if (number != __NR_shmdt) return;
  const NSegment* segment = VG_(am_find_nsegment)(args[0]);
  detached_length = segment && segment->kind == SkShmC ? segment->end + 1 - segment->start : 0;
}

static void advised(ThreadId tid, const UWord* args) {
  struct gnomon_event event = {
      .kind = GNOMON_ADVISE, .address = args[0], .length = page_end(args[1])};
  switch (args[2]) {
    case kAdviceDontneed:
    case kAdviceRemove: event.value = 1; break;
    case kAdviceHugepage: event.value = 2; break;
    case kAdviceNohugepage: event.value = 3; break;
    default: return;
  }
  gn_send(tid, event, NULL);
}

void gn_memory_syscall(ThreadId tid, UInt number, const UWord* args, UWord result) {
  struct gnomon_event event = {.address = args[0], .length = page_end(args[1])};
  switch (number) {
    case __NR_mmap: mapped(tid, args, result); return;
    case __NR_shmat: attached(tid, args, result); return;
    case __NR_madvise: advised(tid, args); return;
    case __NR_munmap: event.kind = GNOMON_UNMAP; break;
    case __NR_shmdt:
      if (detached_length == 0) return;
      event.kind = GNOMON_UNMAP;
      event.length = detached_length;
      break;
    case __NR_mprotect:
    case __NR_pkey_mprotect:
      event.kind = GNOMON_PROTECT;
      event.flags = rights_of_protection(args[2]);
      break;
    case __NR_brk:
      event.kind = GNOMON_BREAK;
      event.address = result;
      event.length = 0;
      break;
    case __NR_mremap:
      event.kind = GNOMON_REMAP;
      event.value = result;
      event.extra = page_end(args[2]);
      break;
    default: return;
  }
  gn_send(tid, event, NULL);
}

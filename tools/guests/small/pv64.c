// SPDX-License-Identifier: Apache-2.0
//
// A paravirtual guest: it asks the monitor for every change of its page tables, so that direct
// paging can let the hardware walk them. The rules it keeps to are those of docs/hypercalls.md: a
// page that is a table is mapped read-only, entries name memory only. Where the monitor validates
// tables, what breaks the rules must be refused; elsewhere it must work. With `plain=1` on the
// command line it does only what is the same everywhere.
#include "common/hypercall.h"
#include "common/multiboot.h"
#include "common/options.h"
#include "common/string.h"
#include "small/guest.h"

typedef volatile uint64_t Page[512];
enum { kPageFault = 14, kEntries = 512, kKeptFrames = 8 };
enum { kBoth = kPresent | kWritable };
#define HYPERVISOR_LEAF 0x40000000u

// Root entry 1: what the two address spaces have for themselves.
#define TEST_AREA 0x0000008000000000u
#define GROWN_AREA (TEST_AREA + 0x200000u)
#define NO_MEMORY 0xfd000000u   // a page of no memory, in every machine
#define LOCAL_APIC 0xfee00000u  // a device, or nothing
#define NOT_CANONICAL 0x0000800000000000u

extern Page boot_root, boot_table;
extern uint32_t boot_information;
extern char guest_end[];

typedef struct Space {
  Page root, pointers, directory, pages;
} Space;
enum { kSpacePages = sizeof(Space) / kPageSize };

static Space spaces[2] __attribute__((aligned(kPageSize)));
static Page grown __attribute__((aligned(kPageSize)));
static Page frames[kKeptFrames] __attribute__((aligned(kPageSize)));
static Update updates[kEntries];
static unsigned queued;
static bool validates, plain;

static uint64_t at(const volatile void* pointer) { return (uintptr_t)pointer; }
static uintptr_t page_at(unsigned number) { return TEST_AREA + number * kPageSize; }
static volatile uint64_t* word_at(uintptr_t address) { return (volatile uint64_t*)address; }

static void queue(volatile uint64_t* entry, uint64_t value) {
  updates[queued++] = (Update){at(entry), value};
}

// All that was queued; true if all of it was done.
static bool update(void) {
  uint64_t done;
  unsigned asked = queued;
  queued = 0;
  return hypercall(kCallMmuUpdate, at(updates), asked, &done) == 0 && done == asked;
}

static bool update_one(volatile uint64_t* entry, uint64_t value) {
  queue(entry, value);
  return update();
}

static bool invalidate(uintptr_t address) {
  return hypercall(kCallInvalidate, kInvalidateAddress, address, 0) == 0;
}
static bool invalidate_all(void) { return hypercall(kCallInvalidate, kInvalidateAll, 0, 0) == 0; }
static int64_t set_cr3(const volatile void* root) { return hypercall(kCallSetCr3, at(root), 0, 0); }

// How this page is mapped where it lies.
static void queue_rights(volatile void* page, uint64_t rights) {
  queue(&boot_table[at(page) / kPageSize], at(page) | rights);
}

static bool page_fault(uintptr_t error, uintptr_t address) {
  return seen.count == 1 && seen.vector == kPageFault && seen.error == error &&
         seen.address == address;
}

static void check_features(void) {
  uint64_t features = 0;
  check(hypercall(kCallFeatures, 0, 0, &features) == 0, "features answers");
  check(features >> 16 == kHypercallVersion && (features & kFeatureCalls), "version 1");
  Cpuid name = cpuid(HYPERVISOR_LEAF, 0), leaf = cpuid(HYPERVISOR_LEAF + 1, 0);
  check(name.ebx == 0x6d6f6e47, "CPUID says who the monitor is");
  check(leaf.eax == (features & 0xffff) && leaf.ebx == kHypercallVersion && leaf.ecx == kCallCount,
        "CPUID says the same");
  validates = features & kFeatureValidates;
  print("pv64: the monitor %s page tables\n", validates ? "validates" : "does not look at");
}

static void check_errors(void) {
  uint64_t done = 99;
  check(hypercall(77, 0, 0, 0) == kErrorNoSuchCall, "no call has number 77");
  check(hypercall(UINT64_C(1) << 32 | kCallExit, 0, 0, 0) == kErrorNoSuchCall,
        "nor one above 32 bits");
  check(
      hypercall(kCallMmuUpdate, at(updates), kMostUpdates + 1, &done) == kErrorTooMany && done == 0,
      "513 updates are too many");
  check(hypercall(kCallMmuUpdate, TEST_AREA, 1, &done) == kErrorBadPointer,
        "an array that is not mapped");
  check(hypercall(kCallMmuUpdate, NOT_CANONICAL, 1, &done) == kErrorBadPointer,
        "an array at no address");
  check(hypercall(kCallMmuUpdate, UINT64_MAX - 7, 1, &done) == kErrorBadPointer,
        "an array around the end of all addresses");
  check(hypercall(kCallMmuUpdate, 0xa0000 - 8, 1, &done) == kErrorBadPointer,
        "an array whose second half is not mapped");
  check(hypercall(kCallMmuUpdate, TEST_AREA, 0, &done) == 0 && done == 0, "no update at all");
  updates[0] = (Update){at(frames[0]) + 4, 0};
  check(hypercall(kCallMmuUpdate, at(updates), 1, &done) == kErrorInvalid && done == 0,
        "an entry must be aligned");
  frames[0][0] = 5;
  updates[0] = (Update){at(frames[0]), 6};
  updates[1] = (Update){NO_MEMORY, 0};
  updates[2] = (Update){at(frames[0]), 7};
  check(hypercall(kCallMmuUpdate, at(updates), 3, &done) == kErrorInvalid && done == 1 &&
            frames[0][0] == 6,
        "an entry where no memory is: what came before is done, nothing behind");
  check(hypercall(kCallSetCr3, at(boot_root) | UINT64_C(1) << 60, 0, 0) == kErrorInvalid,
        "reserved bits of CR3");
  check(hypercall(kCallInvalidate, 2, 0, 0) == kErrorInvalid, "there are two ways to invalidate");
  check(hypercall(kCallInvalidate, kInvalidateAddress, NOT_CANONICAL, 0) == kErrorInvalid,
        "no address to invalidate");
  check(hypercall(kCallConsoleWrite, at(boot_table), kMostConsoleBytes + 1, 0) == kErrorTooMany,
        "4097 characters are too many");
  check(hypercall(kCallConsoleWrite, TEST_AREA, 1, 0) == kErrorBadPointer, "characters nowhere");
}

static void check_console(void) {
  static const char text[] = "pv64: written by a call\n";
  check(hypercall(kCallConsoleWrite, at(text), sizeof text - 1, 0) == 0, "console_write");
}

// The spaces' tables, in memory that is none yet.
static void fill_spaces(void) {
  for (Space* space = spaces; space < spaces + 2; space++) {
    space->root[0] = boot_root[0];
    space->root[1] = at(space->pointers) | kBoth;
    space->pointers[0] = at(space->directory) | kBoth;
    space->directory[0] = at(space->pages) | kBoth;
  }
}

static void check_first_load(void) {
  if (!plain) {
    uintptr_t before = read_cr3();
    int64_t answer = set_cr3(spaces[0].root);
    if (validates) {
      check(answer == kErrorRefused && read_cr3() == before,
            "tables that are mapped writable are refused, and CR3 stays");
    } else {
      check(answer == 0 && read_cr3() == at(spaces[0].root) && set_cr3(boot_root) == 0,
            "tables may be mapped writable");
    }
  }
  for (Space* space = spaces; space < spaces + 2; space++) {
    for (unsigned i = 0; i < kSpacePages; i++) {
      queue_rights((char*)space + i * kPageSize, kPresent);
    }
  }
  check(queued == 2 * kSpacePages && update() && invalidate_all(),
        "the tables' pages become read-only");
  PROVOKE("movq %%rax, (%%rax)", at(spaces[0].pages));
  check(page_fault(kFaultPresent | kFaultWrite, at(spaces[0].pages)), "a store there is a fault");
  check(set_cr3(spaces[0].root) == 0 && read_cr3() == at(spaces[0].root),
        "now CR3 takes the first space");
}

static void check_batches(void) {
  Page* pages = &spaces[0].pages;
  for (unsigned i = 0; i < kKeptFrames; i++) frames[i][0] = 0x1000 + i;
  for (unsigned i = 0; i < kEntries; i++) {
    queue(&(*pages)[i], at(frames[i % kKeptFrames]) | kBoth);
  }
  check(update(), "512 pages in one batch");
  bool same = true;
  for (unsigned i = 0; i < kEntries; i++) {
    same = same && *word_at(page_at(i)) == 0x1000 + i % kKeptFrames;
  }
  check(same, "all read what they should");
  *word_at(page_at(9)) = 0x77;
  check(*word_at(page_at(1)) == 0x77 && frames[1][0] == 0x77, "a store shows in every alias");
  frames[1][0] = 0x1001;

  for (unsigned i = 0; i < kEntries; i += 2) {
    queue(&(*pages)[i], at(frames[(i + 3) % kKeptFrames]) | kBoth);
  }
  check(update() && invalidate_all(), "half of them remapped");
  same = true;
  for (unsigned i = 0; i < kEntries; i++) {
    same = same && *word_at(page_at(i)) == 0x1000 + (i % 2 ? i : i + 3) % kKeptFrames;
  }
  check(same, "all read what they should now");
}

static void check_single_changes(void) {
  Page* pages = &spaces[0].pages;
  check(update_one(&(*pages)[0], at(frames[5]) | kPresent) && invalidate(page_at(0)) &&
            *word_at(page_at(0)) == 0x1005,
        "one page remapped, read-only");
  PROVOKE("movq %%rax, (%%rax)", page_at(0));
  check(page_fault(kFaultPresent | kFaultWrite, page_at(0)), "a store to it is a fault");
  check(update_one(&(*pages)[0], at(frames[5]) | kBoth), "writable, which needs no invalidation");
  *word_at(page_at(0)) = 0x5555;
  check(frames[5][0] == 0x5555, "a store to it goes there");
  uint64_t entry = (*pages)[0];
  check((entry & ~(uint64_t)(kAccessed | kDirty)) == (at(frames[5]) | kBoth) &&
            (entry & kAccessed) && (entry & kDirty),
        "the entry reads back as written, accessed and dirty");
  frames[5][0] = 0x1005;
  check(update_one(&(*pages)[0], 0) && invalidate(page_at(0)), "unmapped");
  PROVOKE("movq (%%rax), %%rax", page_at(0));
  check(page_fault(0, page_at(0)), "a load from it is a fault");
}

// What direct paging must refuse, in the middle of a batch; elsewhere it is done.
static void check_rule(volatile uint64_t* entry, uint64_t bad, const char* what) {
  uint64_t before = *entry, done = 0;
  queue(&spaces[1].pages[0], 0);
  queue(entry, bad);
  queue(&spaces[1].pages[1], 0);
  queued = 0;
  int64_t answer = hypercall(kCallMmuUpdate, at(updates), 3, &done);
  if (validates) {
    check_of(answer == kErrorRefused && done == 1 && *entry == before, "refused", what);
    return;
  }
  check_of(answer == 0 && done == 3 && *entry == bad, "done", what);
  if (!update_one(entry, before) || !invalidate_all()) check_of(false, "undone", what);
}

static void check_rules(void) {
  volatile uint64_t* entry = &spaces[0].pages[2];
  check_rule(entry, at(spaces[0].pages) | kBoth, "a table mapped writable");
  check_rule(entry, at(spaces[0].root) | kBoth, "the root mapped writable");
  check_rule(&boot_table[at(spaces[0].root) / kPageSize], at(spaces[0].root) | kBoth,
             "a table made writable where it lies");
  check_rule(entry, NO_MEMORY | kPresent, "a present entry for no memory");
  check_rule(entry, LOCAL_APIC | kPresent, "a present entry for a device");
  check_rule(&spaces[0].directory[2], at(frames[0]) | kBoth,
             "a page that is mapped writable as table");
  check_rule(&spaces[0].pointers[2], at(spaces[0].pages) | kBoth, "a table of another level");
}

static void check_two_spaces(void) {
  check(update_one(&spaces[0].pages[0], at(frames[0]) | kBoth) &&
            update_one(&spaces[1].pages[0], at(frames[1]) | kBoth),
        "the same page in both spaces, also in the one that is not in use");
  bool good = true;
  for (unsigned turn = 0; turn < 10; turn++) {
    good = good && set_cr3(spaces[1].root) == 0 && *word_at(page_at(0)) == 0x1001;
    good = good && set_cr3(spaces[0].root) == 0 && *word_at(page_at(0)) == 0x1000;
  }
  check(good, "each space has its own");
  write_cr3(at(spaces[1].root));
  check(*word_at(page_at(0)) == 0x1001 && set_cr3(spaces[0].root) == 0, "MOV to CR3 does the same");
}

// A page becomes a table, and a page again.
static void check_growth(void) {
  volatile uint64_t* link = &spaces[0].directory[1];
  for (unsigned i = 0; i < kEntries; i++) grown[i] = at(frames[i % kKeptFrames]) | kBoth;
  queue_rights(grown, kPresent);
  queue(link, at(grown) | kBoth);
  check(update() && invalidate_all() && *word_at(GROWN_AREA + 3 * kPageSize) == 0x1003,
        "a full table is put to use");
  check(update_one(&grown[3], at(frames[4]) | kBoth) && invalidate(GROWN_AREA + 3 * kPageSize) &&
            *word_at(GROWN_AREA + 3 * kPageSize) == 0x1004,
        "and changed");
  queue(link, 0);
  queue_rights(grown, kBoth);
  check(update() && invalidate_all(), "it is taken away, and becomes an ordinary page");
  PROVOKE("movq (%%rax), %%rax", GROWN_AREA + 3 * kPageSize);
  check(page_fault(0, GROWN_AREA + 3 * kPageSize), "its pages are gone");
  grown[3] = 1;
  check(grown[3] == 1 && (grown[5] & ~(uint64_t)(kAccessed | kDirty)) == (at(frames[5]) | kBoth),
        "it holds what the guest wrote, and can be stored to");
}

static void read_options(void) {
  const MultibootInfo* info = (const MultibootInfo*)(uintptr_t)boot_information;
  if (!(info->flags & kMultibootCommandLine)) return;
  const char* line = (const char*)(uintptr_t)info->command_line;
  plain = option_number(line, "plain", 0) != 0;
}

unsigned guest_main(void) {
  trap_handle(kPageFault, note_and_resume);
  read_options();
  if (!plain) check_features();
  check(at(guest_end) <= kEntries * kPageSize, "the guest is in the first 2 MiB");
  check_console();
  check_errors();
  fill_spaces();
  check_first_load();
  check_batches();
  check_single_changes();
  if (!plain) check_rules();
  check_two_spaces();
  check_growth();
  unsigned status = finish("pv64");
  hypercall(kCallExit, status, 0, 0);
  return 1;  // there is no way back from that call
}

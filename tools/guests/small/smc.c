// SPDX-License-Identifier: Apache-2.0
//
// Code that changes: what runs next must be what memory holds now, whichever address it was written
// through. Hard on anything that keeps decoded instructions.
#include "common/string.h"
#include "identity.h"
#include "small/guest.h"

typedef uint32_t (*Function)(void);

// movl $value, %eax; ret
enum {
  kMovEax = 0xb8,
  kRet = 0xc3,
  kValueOffset = 1,
  kFunctionBytes = 6,
  kAliasPage = 0,
  kSwitchPage = 1
};

static uint8_t code[3 * kPageSize] __attribute__((aligned(kPageSize)));

static void write_function(uint8_t* at, uint32_t value) {
  at[0] = kMovEax;
  memcpy(at + kValueOffset, &value, sizeof value);
  at[kFunctionBytes - 1] = kRet;
}

static uint32_t call(const void* at) { return ((Function)(uintptr_t)at)(); }

// After a change through another linear address, a processor may go on with the old instruction
// until it serializes.
static void serialize(void) { cpuid(0, 0); }

static void check_own_address(void) {
  write_function(code, 1);
  check(call(code) == 1, "code that was just written runs");
  code[kValueOffset] = 2;
  check(call(code) == 2, "one byte of it changed");
  bool good = true;
  for (uint32_t round = 0; round < 1000; round++) {
    memcpy(code + kValueOffset, &round, sizeof round);
    good = good && call(code) == round;
  }
  check(good, "a thousand changes, each followed by a call");

  uint8_t* across = code + kPageSize - 3;  // the number lies on both sides of a page boundary
  write_function(across, 0x01020304);
  good = call(across) == 0x01020304;
  code[kPageSize + 1] = 9;
  check(good && call(across) == 0x09020304,
        "an instruction across two pages, its second page changed");
}

static void check_straight_line(void) {
  uint32_t result;
  // The two instructions lie side by side: the first changes the second.
  __asm__ volatile(
      "movb $7, 1f + 1\n"
      "1:\tmovl $3, %0"
      : "=a"(result)
      :
      : "memory");
  check(result == 7, "an instruction that the one before it changes");

  // A loop whose body rewrites the instruction behind it, and then itself.
  uint32_t turns = 0;
  __asm__ volatile(
      "movl $5, %%ecx\n"
      "1:\tmovb %%cl, 2f + 2\n\t"
      "2:\taddl $1, %0\n\t"
      "decl %%ecx\n\t"
      "jnz 1b"
      : "+r"(turns)
      :
      : "ecx", "memory", "cc");
  check(turns == 5 + 4 + 3 + 2 + 1, "a loop that changes its own body in every turn");

  // A string instruction that overwrites what comes next.
  __asm__ volatile(
      "movl $1f + 1, %%edi\n\t"
      "movl $4, %%ecx\n\t"
      "movl $0x5a, %%eax\n\t"
      "rep stosb\n"
      "1:\tmovl $0, %0"
      : "=a"(result)
      :
      : "ecx", "edi", "memory");
  check(result == 0x5a5a5a5a, "an instruction that a string instruction before it fills");
}

static void check_other_mapping(void) {
  volatile uint8_t* alias = (uint8_t*)(TEST_AREA + kAliasPage * kPageSize);
  write_function(code, 10);
  bool good = call(code) == 10;
  test_table[kAliasPage] = (uintptr_t)code | kPresent | kWritable;
  alias[kValueOffset] = 11;
  serialize();
  check(good && call(code) == 11, "code changed through another mapping");
  check(call((const void*)(uintptr_t)alias) == 11, "and run through that one");
  code[kValueOffset] = 12;
  serialize();
  check(call((const void*)(uintptr_t)alias) == 12,
        "run through it after a change at the first address");
}

static void check_other_frame(void) {
  uint8_t* second = code + 2 * kPageSize;
  const void* window = (const void*)(TEST_AREA + kSwitchPage * kPageSize);
  write_function(code, 20);
  write_function(second, 21);
  test_table[kSwitchPage] = (uintptr_t)code | kPresent;
  bool good = call(window) == 20;
  test_table[kSwitchPage] = (uintptr_t)second | kPresent;
  invlpg((uintptr_t)window);
  check(good && call(window) == 21, "another frame at the same address, after INVLPG");
  test_table[kSwitchPage] = (uintptr_t)code | kPresent;
  write_cr3(read_cr3());
  check(call(window) == 20, "the first frame again, after a load of CR3");
}

unsigned guest_main(void) {
  // The guest's own code is to be changed, so its pages must be writable: they are, without paging.
  check_own_address();
  check_straight_line();
  identity_paging_on();
  check_own_address();
  check_straight_line();
  check_other_mapping();
  check_other_frame();
  return finish("smc");
}

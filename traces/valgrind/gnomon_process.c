/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The number by which the recorder knows this process. It comes as an option, so that a program
 * which replaces another by execve takes over its number: valgrind hands its options on, and this
 * one is rewritten just before.
 */
#include "gnomon_tool.h"
#include "pub_tool_clientstate.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_xarray.h"

static const HChar kOption[] = "--gnomon-process=";

static ULong process = 0;
static ULong parent = 0;
static ULong forks = 0; /* so far, by all programs of this process: children's numbers differ */
static ULong child = 0;
static Bool follow_children = True;
static HChar argument_text[sizeof kOption + 16 + 1 + 16 + 1];

ULong gn_process_id(void) { return process; }

Bool gn_process_option(const HChar* argument) {
  const UInt length = (UInt)sizeof kOption - 1;
  if (VG_(strncmp)(argument, kOption, length) != 0) return False;
  HChar* end;
  process = VG_(strtoull16)(argument + length, &end);
  if (*end == ':') forks = VG_(strtoull16)(end + 1, &end);
  return True;
}

void gn_process_before_exec(void) {
  VG_(snprintf)(argument_text, sizeof argument_text, "%s%016llx:%016llx", kOption, process, forks);
  HChar* text = argument_text;
  for (Word i = 0; i < VG_(sizeXA)(VG_(args_for_valgrind)); ++i) {
    const HChar* argument = *(HChar**)VG_(indexXA)(VG_(args_for_valgrind), i);
    if (VG_(strncmp)(argument, kOption, sizeof kOption - 1) == 0) {
      VG_(replaceIndexXA)(VG_(args_for_valgrind), i, &text);
    }
  }
}

/* Finalizer of MurmurHash3: a bijection, so children of one process never share a number. */
static ULong scatter(ULong value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ULL;
  return value ^ (value >> 33);
}

static void before_fork(ThreadId tid) {
  (void)tid;
  gn_flush();
  child = scatter(process + 0x9e3779b97f4a7c15ULL * ++forks);
}

static void parent_after_fork(ThreadId tid) {
  const struct gnomon_event event = {.kind = GNOMON_FORK, .value = child};
  if (follow_children) gn_send(tid, event, NULL);
}

static void child_after_fork(ThreadId tid) {
  parent = process;
  process = child;
  forks = 0;
  gn_stream_restart();
  const struct gnomon_event event = {.kind = GNOMON_FORKED, .value = parent};
  if (follow_children) {
    gn_send(tid, event, NULL);
  } else {
    gn_stream_close();
  }
}

static void send_begin(void) {
  static HChar text[GNOMON_TEXT_MOST + 1];
  UInt used = (UInt)VG_(snprintf)(text, sizeof text, "%s", VG_(args_the_exename));
  for (Word i = 0; i < VG_(sizeXA)(VG_(args_for_client)) && used + 1 < sizeof text; ++i) {
    const HChar* argument = *(HChar**)VG_(indexXA)(VG_(args_for_client), i);
    VG_(snprintf)(text + used, (Int)(sizeof text - used), " %s", argument);
    used = (UInt)VG_(strlen)(text);
  }
  const struct gnomon_event event = {.kind = GNOMON_BEGIN};
  gn_send(1, event, text);
}

void gn_process_start(Bool follow) {
  follow_children = follow;
  VG_(atfork)(before_fork, parent_after_fork, child_after_fork);
  send_begin();
}

/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A valgrind tool that writes what a program does to its memory into a FIFO, as described in
 * gnomon_protocol.h. gnomon's recorder starts it; see docs/recording.md.
 */
#include "gnomon_tool.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_options.h"
#include "pub_tool_threadstate.h"

static const HChar* fifo = NULL;
static Bool follow = True;

static Bool process_option(const HChar* argument) {
  /* The macros bring their own parentheses. */
  // clang-format off
  if VG_STR_CLO(argument, "--gnomon-fifo", fifo) { return True; }
  if VG_BOOL_CLO(argument, "--gnomon-follow", follow) { return True; }
  // clang-format on
  return gn_process_option(argument);
}

static void print_usage(void) {
  VG_(printf)
  ("    --gnomon-fifo=PATH        where the recorder reads\n"
   "    --gnomon-process=NUMBER   what it calls this process\n"
   "    --gnomon-follow=no|yes    record what it forks, too [yes]\n");
}

static void print_debug_usage(void) { VG_(printf)("    (none)\n"); }

static void after_options(void) {
  if (!fifo) {
    VG_(fmsg)("gnomon: --gnomon-fifo is missing: this tool is started by gnomon's recorder\n");
    VG_(exit)(1);
  }
  gn_stream_open(fifo);
  gn_process_start(follow);
}

static void at_end(Int status) {
  (void)status;
  gn_settle();
  const struct gnomon_event event = {.kind = GNOMON_EXIT, .value = gn_kernel_exit_status()};
  gn_send(VG_(get_running_tid)(), event, NULL);
}

static void before_options(void) {
  VG_(details_name)("gnomon");
  VG_(details_version)(NULL);
  VG_(details_description)("records memory references");
  VG_(details_copyright_author)("Gnomon's authors; GNU GPL version 2 or later");
  VG_(details_bug_reports_to)("gnomon's maintainers");
  VG_(details_avg_translation_sizeB)(400);
  VG_(basic_tool_funcs)(after_options, gn_instrument, at_end);
  VG_(needs_command_line_options)(process_option, print_usage, print_debug_usage);
  gn_kernel_start();
}

VG_DETERMINE_INTERFACE_VERSION(before_options)

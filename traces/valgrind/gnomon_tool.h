/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of the tool, and valgrind's headers for them.
 */
#ifndef GNOMON_TRACES_VALGRIND_GNOMON_TOOL_H_
#define GNOMON_TRACES_VALGRIND_GNOMON_TOOL_H_

#include "gnomon_protocol.h"
#include "pub_tool_basics.h"
#include "pub_tool_tooliface.h"

/* gnomon_stream.c: from the words that generated code leaves to packets in the FIFO. */

/* Words between two packets lie in [gn_buffer, gn_position); everything from there on is 0. */
#define GN_BUFFER_WORDS 2040u
#define GN_CHUNK_WORDS 1024u /* most that generated code writes between two looks at the room */
extern ULong gn_buffer[GN_BUFFER_WORDS + 1];
extern ULong* gn_position;

/* Opens the FIFO; a failure ends the run, as there is nobody to record for. */
void gn_stream_open(const HChar* fifo);
/* Nothing is written from here on. */
void gn_stream_close(void);
/* The next packet is the first one of a new process. */
void gn_stream_restart(void);
/* Called by generated code when its words may not fit. */
void gn_make_room(void);
/* Takes the words of a block that a fault left half-way. */
void gn_settle(void);
/* Sends what is there. */
void gn_flush(void);
/* What comes from now on is done by this thread. */
void gn_thread_runs(ThreadId tid);
/* Sends what is there, then this event; text may be NULL, and is cut to GNOMON_TEXT_MOST. */
void gn_send(ThreadId tid, struct gnomon_event event, const HChar* text);

/* gnomon_process.c: who this process is. */

Bool gn_process_option(const HChar* argument);
void gn_process_start(Bool follow);
ULong gn_process_id(void);
/* Leaves the identity to the program that execve is about to start. */
void gn_process_before_exec(void);

/* gnomon_instrument.c */

IRSB* gn_instrument(VgCallbackClosure* closure, IRSB* in, const VexGuestLayout* layout,
                    const VexGuestExtents* extents, const VexArchInfo* host, IRType guest_word,
                    IRType host_word);

/* gnomon_memory.c: mappings, from what the kernel granted. */

/* Tells what is mapped when the program starts. */
void gn_memory_at_first_instruction(ThreadId tid);
/* After a successful call. */
void gn_memory_syscall(ThreadId tid, UInt number, const UWord* args, UWord result);
void gn_memory_before_syscall(ThreadId tid, UInt number, const UWord* args);

/* gnomon_kernel.c: system calls and what the kernel does for them. */

void gn_kernel_start(void);
/* The status the program asked to end with; 128 if it never did: a signal ended it. */
UWord gn_kernel_exit_status(void);

#endif /* GNOMON_TRACES_VALGRIND_GNOMON_TOOL_H_ */

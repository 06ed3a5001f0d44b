/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gnomon_tool.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_threadstate.h"
#include "pub_tool_vki.h"

/* Moves a descriptor above those the program may use, as the core does with its own. The core
 * exports it to itself only. */
extern Int VG_(safe_fd)(Int fd);

ULong gn_buffer[GN_BUFFER_WORDS + 1];
ULong* gn_position = gn_buffer;

static Int stream = -1;
static ThreadId running = 1;
static UInt sequence = 0;

/* Packets are built here. */
static union {
  struct gnomon_packet header;
  UChar bytes[GNOMON_PACKET_MOST];
} packet;

void gn_stream_open(const HChar* fifo) {
  const SysRes opened = VG_(open)(fifo, VKI_O_WRONLY, 0);
  if (sr_isError(opened)) {
    VG_(fmsg)("gnomon: cannot open %s: %s\n", fifo, VG_(sr_as_string)(opened));
    VG_(exit)(1);
  }
  stream = VG_(safe_fd)((Int)sr_Res(opened));
  if (stream < 0) {
    VG_(fmsg)("gnomon: no descriptor left for %s\n", fifo);
    VG_(exit)(1);
  }
}

void gn_stream_close(void) {
  if (stream >= 0) VG_(close)(stream);
  stream = -1;
}

static void write_packet(ThreadId tid, UShort kind, UInt bytes) {
  if (stream < 0) return;
  packet.header.magic = GNOMON_PACKET_MAGIC;
  packet.header.kind = kind;
  packet.header.bytes = (UShort)bytes;
  packet.header.process = gn_process_id();
  packet.header.thread = tid;
  packet.header.sequence = sequence++;
  Int written;
  do {
    written = VG_(write)(stream, packet.bytes, (Int)bytes);
  } while (written == -VKI_EINTR);
  /* Nobody reads any more: the recorder is gone or has what it wanted. */
  if (written != (Int)bytes) gn_stream_close();
}

void gn_stream_restart(void) { sequence = 0; }

void gn_flush(void) {
  const UInt words = (UInt)(gn_position - gn_buffer);
  for (UInt done = 0; done < words;) {
    const UInt some = VG_MIN(words - done, (UInt)GNOMON_WORDS_MOST);
    VG_(memcpy)(packet.bytes + sizeof(struct gnomon_packet), gn_buffer + done, some * 8);
    write_packet(running, GNOMON_REFERENCES, (UInt)sizeof(struct gnomon_packet) + some * 8);
    done += some;
  }
  VG_(memset)(gn_buffer, 0, words * 8);
  gn_position = gn_buffer;
}

void gn_make_room(void) { gn_flush(); }

void gn_settle(void) {
  /* The first word of a block is a fetch, which is never 0. */
  if (*gn_position == 0) return;
  ULong* end = gn_position + GN_CHUNK_WORDS;
  if (end > gn_buffer + GN_BUFFER_WORDS) end = gn_buffer + GN_BUFFER_WORDS;
  while (end[-1] == 0) --end;
  gn_position = end;
}

void gn_thread_runs(ThreadId tid) {
  if (tid == running) return;
  gn_flush();
  running = tid;
}

void gn_send(ThreadId tid, struct gnomon_event event, const HChar* text) {
  gn_flush();
  UInt length = text ? (UInt)VG_(strlen)(text) : 0;
  if (length > GNOMON_TEXT_MOST) length = GNOMON_TEXT_MOST;
  const UInt padded = (length + 7) & ~7u;
  event.text_bytes = length;
  event.zero = 0;
  UChar* to = packet.bytes + sizeof(struct gnomon_packet);
  VG_(memcpy)(to, &event, sizeof event);
  to += sizeof event;
  VG_(memset)(to, 0, padded);
  if (length) VG_(memcpy)(to, text, length);
  write_packet(tid, GNOMON_EVENT,
               (UInt)(sizeof(struct gnomon_packet) + sizeof(struct gnomon_event)) + padded);
}

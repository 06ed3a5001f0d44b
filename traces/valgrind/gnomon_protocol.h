/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later
 *
 * What the valgrind tool writes into the recorder's FIFO: packets of at most PIPE_BUF bytes, so
 * that the kernel keeps each whole although several processes write. Plain C, for the tool; the
 * recorder includes it too. Both run on one machine, so numbers are in its byte order.
 */
#ifndef GNOMON_TRACES_VALGRIND_GNOMON_PROTOCOL_H_
#define GNOMON_TRACES_VALGRIND_GNOMON_PROTOCOL_H_

#include <stdint.h>

#define GNOMON_PACKET_MAGIC 0x314e4d47u /* "GMN1" */
#define GNOMON_PACKET_MOST 4096u        /* bytes of a packet: PIPE_BUF on Linux */

enum gnomon_packet_kind {
  GNOMON_REFERENCES = 1, /* the header is followed by reference words */
  GNOMON_EVENT = 2,      /* the header is followed by one struct gnomon_event and its text */
};

/* `process` outlives exec: the recorder chooses the first one, fork makes new ones
 * (gnomon_child_id), and the tool hands its own to the program that replaces it. The system's
 * numbers would not do: they are used again, and differ inside a PID namespace. */
struct gnomon_packet {
  uint32_t magic;
  uint16_t kind;
  uint16_t bytes; /* of the whole packet; a multiple of 8 */
  uint64_t process;
  uint32_t thread;   /* valgrind's number: from 1, used again after the thread's end */
  uint32_t sequence; /* counts the packets since the program started or was forked */
};

/* A reference word: address (low 48 bits of it), kind, size in bytes (1 to 4096). A word of 0 is a
 * hole: an access that was guarded and did not happen. */
#define GNOMON_WORD_ADDRESS_SHIFT 16
#define GNOMON_WORD_KIND_SHIFT 14
#define GNOMON_WORD_SIZE_MASK 0x3fffu
#define GNOMON_WORD_SIZE_MOST 4096u
enum gnomon_word_kind { GNOMON_FETCH, GNOMON_LOAD, GNOMON_STORE, GNOMON_MODIFY };

#define GNOMON_WORDS_MOST ((GNOMON_PACKET_MOST - sizeof(struct gnomon_packet)) / 8)

/* Fields as in gnomon::TraceEvent, unless a comment says otherwise. */
enum gnomon_event_kind {
  GNOMON_BEGIN,        /* first packet of a program; text: its command line */
  GNOMON_FORK,         /* value: the child's `process` */
  GNOMON_FORKED,       /* first packet of a child; value: the parent's `process` */
  GNOMON_THREAD_START, /* the packet's thread */
  GNOMON_THREAD_EXIT,
  GNOMON_EXIT, /* last packet of a process; value: status */
  GNOMON_MAP,
  GNOMON_UNMAP,
  GNOMON_PROTECT,
  GNOMON_BREAK,
  GNOMON_REMAP,
  GNOMON_ADVISE,
  GNOMON_SYSCALL,
  GNOMON_KERNEL_READ,
  GNOMON_KERNEL_WRITE,
  GNOMON_EVENT_KINDS,
};

/* The values of gnomon::MapFlags. */
enum gnomon_map_flags {
  GNOMON_MAP_READ = 1,
  GNOMON_MAP_WRITE = 2,
  GNOMON_MAP_EXEC = 4,
  GNOMON_MAP_SHARED = 8,
  GNOMON_MAP_STACK = 16,
  GNOMON_MAP_HUGE = 32,
  GNOMON_MAP_POPULATE = 64,
};

struct gnomon_event {
  uint32_t kind;
  uint32_t flags;
  uint64_t address;
  uint64_t length;
  uint64_t value;
  uint64_t extra;
  uint64_t file;
  uint32_t text_bytes; /* follow this struct, padded with zeros to a multiple of 8 */
  uint32_t zero;
};

#define GNOMON_TEXT_MOST \
  (GNOMON_PACKET_MOST - sizeof(struct gnomon_packet) - sizeof(struct gnomon_event))

#endif /* GNOMON_TRACES_VALGRIND_GNOMON_PROTOCOL_H_ */

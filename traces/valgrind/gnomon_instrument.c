/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is put into the program's code. A block looks once whether its words fit into the buffer,
 * and then stores one word for each instruction and each access, before it happens:
 *
 *   if (limit < position) make_room()            once a block; `limit` leaves room for all its
 * words p = position p[0] = constant                              an instruction: address and
 * length are known p[1] = address << 16 | kind and size         a load, a store p[2] = guard ?
 * address << 16 | ... : 0       one that may not happen position = p + 3 before each exit from the
 * block
 *
 * If an access faults, `position` still is that of the last exit; gn_settle finds what lies behind
 * it.
 */
#include "gnomon_tool.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_machine.h"

typedef struct {
  IRSB* out;
  IRTemp position; /* where the chunk's first word goes */
  IRConst* limit;  /* in the look for room, to be filled in when the chunk's size is known */
  UInt words;      /* of the chunk so far */
  UInt committed;  /* of these, before the last exit */
  /* The load that a store to the same bytes by the same instruction turns into a modify. */
  const IRExpr* load_address; /* NULL: none */
  UInt load_size;
  IRConst* load_word; /* the part of its word with the kind */
} Chunk;

static ULong tag(enum gnomon_word_kind kind, UInt size) {
  return ((ULong)kind << GNOMON_WORD_KIND_SHIFT) | size;
}

static IRExpr* value_of(IRSB* out, IRType type, IRExpr* expression) {
  const IRTemp temp = newIRTemp(out->tyenv, type);
  addStmtToIRSB(out, IRStmt_WrTmp(temp, expression));
  return IRExpr_RdTmp(temp);
}

static IRExpr* constant(ULong value) { return IRExpr_Const(IRConst_U64(value)); }

static IRExpr* position_variable(void) { return mkIRExpr_HWord((HWord)&gn_position); }

static void begin_chunk(Chunk* chunk) {
  IRSB* out = chunk->out;
  chunk->limit = IRConst_U64(0);
  IRExpr* before = value_of(out, Ity_I64, IRExpr_Load(Iend_LE, Ity_I64, position_variable()));
  IRDirty* call =
      unsafeIRDirty_0_N(0, "gn_make_room", VG_(fnptr_to_fnentry)(&gn_make_room), mkIRExprVec_0());
  call->guard =
      value_of(out, Ity_I1, IRExpr_Binop(Iop_CmpLT64U, IRExpr_Const(chunk->limit), before));
  addStmtToIRSB(out, IRStmt_Dirty(call));
  IRExpr* position = value_of(out, Ity_I64, IRExpr_Load(Iend_LE, Ity_I64, position_variable()));
  chunk->position = position->Iex.RdTmp.tmp;
  chunk->words = 0;
  chunk->committed = 0;
}

static IRExpr* word_address(Chunk* chunk, UInt word) {
  IRExpr* position = IRExpr_RdTmp(chunk->position);
  if (word == 0) return position;
  return value_of(chunk->out, Ity_I64, IRExpr_Binop(Iop_Add64, position, constant(word * 8)));
}

static void commit(Chunk* chunk) {
  if (chunk->words == chunk->committed) return;
  IRExpr* end = word_address(chunk, chunk->words);
  addStmtToIRSB(chunk->out, IRStmt_Store(Iend_LE, position_variable(), end));
  chunk->committed = chunk->words;
}

static void end_chunk(Chunk* chunk) {
  commit(chunk);
  chunk->limit->Ico.U64 = (ULong)(Addr)(gn_buffer + GN_BUFFER_WORDS - chunk->words);
}

static void add_word(Chunk* chunk, IRExpr* word) {
  if (chunk->words == GN_CHUNK_WORDS) {
    end_chunk(chunk);
    begin_chunk(chunk);
  }
  addStmtToIRSB(chunk->out, IRStmt_Store(Iend_LE, word_address(chunk, chunk->words), word));
  ++chunk->words;
}

static void add_fetch(Chunk* chunk, Addr address, UInt size) {
  chunk->load_address = NULL;
  add_word(chunk, constant((address << GNOMON_WORD_ADDRESS_SHIFT) | tag(GNOMON_FETCH, size)));
}

/* `guard` is NULL if the access always happens. */
static void add_access(Chunk* chunk, enum gnomon_word_kind kind, IRExpr* address, UInt size,
                       IRExpr* guard) {
  if (size == 0 || size > GNOMON_WORD_SIZE_MOST) return;
  if (kind == GNOMON_STORE && !guard && chunk->load_address && chunk->load_size == size &&
      eqIRAtom(chunk->load_address, address)) {
    chunk->load_word->Ico.U64 += tag(GNOMON_MODIFY, 0) - tag(GNOMON_LOAD, 0);
    chunk->load_address = NULL;
    return;
  }
  IRSB* out = chunk->out;
  IRConst* kind_and_size;
  IRExpr* word;
  if (address->tag == Iex_Const) {
    const ULong shifted = address->Iex.Const.con->Ico.U64 << GNOMON_WORD_ADDRESS_SHIFT;
    kind_and_size = IRConst_U64(shifted | tag(kind, size));
    word = IRExpr_Const(kind_and_size);
  } else {
    IRExpr* shifted = value_of(
        out, Ity_I64,
        IRExpr_Binop(Iop_Shl64, address, IRExpr_Const(IRConst_U8(GNOMON_WORD_ADDRESS_SHIFT))));
    kind_and_size = IRConst_U64(tag(kind, size));
    word = value_of(out, Ity_I64, IRExpr_Binop(Iop_Or64, shifted, IRExpr_Const(kind_and_size)));
  }
  if (guard) word = value_of(out, Ity_I64, IRExpr_ITE(guard, word, constant(0)));
  add_word(chunk, word);

  const Bool mergeable = kind == GNOMON_LOAD && !guard;
  chunk->load_address = mergeable ? address : NULL;
  chunk->load_size = size;
  chunk->load_word = kind_and_size;
}

static void add_dirty(Chunk* chunk, const IRDirty* call) {
  if (call->mFx == Ifx_None) return;
  IRExpr* guard = call->guard;
  if (guard && guard->tag == Iex_Const && guard->Iex.Const.con->Ico.U1) guard = NULL;
  const UInt size = (UInt)call->mSize;
  const enum gnomon_word_kind kind = call->mFx == Ifx_Read    ? GNOMON_LOAD
                                     : call->mFx == Ifx_Write ? GNOMON_STORE
                                                              : GNOMON_MODIFY;
  add_access(chunk, kind, call->mAddr, size, guard);
}

static void add_cas(Chunk* chunk, const IRCAS* cas) {
  UInt size = (UInt)sizeofIRType(typeOfIRExpr(chunk->out->tyenv, cas->dataLo));
  if (cas->dataHi) size *= 2;
  add_access(chunk, GNOMON_MODIFY, cas->addr, size, NULL);
}

/* The words that go before a statement. */
static void add_words(Chunk* chunk, const IRStmt* statement) {
  IRTypeEnv* types = chunk->out->tyenv;
  switch (statement->tag) {
    case Ist_IMark: add_fetch(chunk, statement->Ist.IMark.addr, statement->Ist.IMark.len); break;
    case Ist_WrTmp: {
      const IRExpr* data = statement->Ist.WrTmp.data;
      if (data->tag != Iex_Load) break;
      add_access(chunk, GNOMON_LOAD, data->Iex.Load.addr, (UInt)sizeofIRType(data->Iex.Load.ty),
                 NULL);
      break;
    }
    case Ist_Store: {
      const IRExpr* data = statement->Ist.Store.data;
      add_access(chunk, GNOMON_STORE, statement->Ist.Store.addr,
                 (UInt)sizeofIRType(typeOfIRExpr(types, data)), NULL);
      break;
    }
    case Ist_StoreG: {
      const IRStoreG* store = statement->Ist.StoreG.details;
      add_access(chunk, GNOMON_STORE, store->addr,
                 (UInt)sizeofIRType(typeOfIRExpr(types, store->data)), store->guard);
      break;
    }
    case Ist_LoadG: {
      const IRLoadG* load = statement->Ist.LoadG.details;
      IRType result, loaded;
      typeOfIRLoadGOp(load->cvt, &result, &loaded);
      add_access(chunk, GNOMON_LOAD, load->addr, (UInt)sizeofIRType(loaded), load->guard);
      break;
    }
    case Ist_CAS: add_cas(chunk, statement->Ist.CAS.details); break;
    case Ist_LLSC: {
      const IRExpr* stored = statement->Ist.LLSC.storedata;
      const IRType type =
          stored ? typeOfIRExpr(types, stored) : typeOfIRTemp(types, statement->Ist.LLSC.result);
      add_access(chunk, stored ? GNOMON_STORE : GNOMON_LOAD, statement->Ist.LLSC.addr,
                 (UInt)sizeofIRType(type), NULL);
      break;
    }
    case Ist_Dirty: add_dirty(chunk, statement->Ist.Dirty.details); break;
    case Ist_Exit: commit(chunk); break;
    default: break;
  }
}

IRSB* gn_instrument(VgCallbackClosure* closure, IRSB* in, const VexGuestLayout* layout,
                    const VexGuestExtents* extents, const VexArchInfo* host, IRType guest_word,
                    IRType host_word) {
  (void)closure, (void)layout, (void)extents, (void)host;
  tl_assert(guest_word == Ity_I64 && host_word == Ity_I64);
  Chunk chunk = {.out = deepCopyIRSBExceptStmts(in), .position = IRTemp_INVALID};

  Int i = 0;
  /* What comes before the first instruction is valgrind's own. */
  for (; i < in->stmts_used && in->stmts[i]->tag != Ist_IMark; ++i) {
    addStmtToIRSB(chunk.out, in->stmts[i]);
  }
  if (i == in->stmts_used) return chunk.out;
  begin_chunk(&chunk);
  for (; i < in->stmts_used; ++i) {
    add_words(&chunk, in->stmts[i]);
    addStmtToIRSB(chunk.out, in->stmts[i]);
  }
  end_chunk(&chunk);
  return chunk.out;
}

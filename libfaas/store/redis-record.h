/*
 * redis-record.h - a task's record as the bytes that Redis keeps: written here and in
 * scripts/group.lua
 *
 * docs/STORE.md has the layout.  Numbers are big-endian.
 */
#pragma once

#include "base/buf.h"
#include "model/op.h"

#define FA_RREC_HEAD 42  /* of every record but that of a collected task */
#define FA_RREC_TOMB 255 /* that one is this byte */

/* ACCEPT, RESTORE: the record of the open task; part: of its partition's journal. -ENOMEM: sticky
 * in the buffer. */
void fa_rrec_open(struct fa_buf *b, const struct fa_op *op, uint32_t part);

/* FINISH, RESTORE of a final: strikes, fence and result; the script adds what stands before. */
void fa_rrec_result(struct fa_buf *b, const struct fa_op *op);

/* FINISH with its spec, of a task that was never requeued: the whole record; part: of the log of
 * results. */
void fa_rrec_final(struct fa_buf *b, const struct fa_op *op, uint32_t part);

/* How long that is. */
size_t fa_rrec_open_len(const struct fa_spec *spec);
size_t fa_rrec_result_len(const struct fa_outcome *o);
size_t fa_rrec_final_len(const struct fa_outcome *o);

/* Reads one.  0: *ret holds references; FAAS_E_PROTO: it is damaged; -ENOMEM. */
int fa_rrec_read(struct fa_record *ret, const struct faas_id *id, struct fa_slice bytes);

/* Of a record of at least FA_RREC_HEAD bytes. */
uint64_t fa_rrec_partition(struct fa_slice bytes);

/* Does a record of these bytes name what was submitted with this spec? */
bool fa_rrec_same(struct fa_slice bytes, const struct fa_spec *spec);

/*
 * Which hash of records has it: docs/STORE.md, and records_of() in common.lua.  A hash should fit
 * the processor's cache, because each task is looked up in it six times; but tasks are written
 * together only if they are in the same one.
 */
#define FA_RREC_BUCKET_MS 64
uint64_t fa_rrec_bucket(const struct faas_id *id);

/*
 * vector-file.h - reads the golden vectors, tests/vectors/(y|n)_*.hex
 *
 * A vector is hex bytes; `#` starts a comment, `61*9000` is a byte many times, a line `--` starts
 * the next frame.  Comments of this form at the start of a line are read:
 *   # role: worker          who sends it
 *   # error: FAAS_E_PROTO   n_: what fa_msg_decode() gives
 *   # text: ...             n_: a part of the error's text, so that it is refused for its own fault
 * A line `==` in a y_ vector ends the frames as received; after it stand the frames as we write
 * them.  Without it both are the same.
 */
#pragma once

#include "wire/msg.h"

struct vector {
        enum fa_role role;
        int error;
        char text[128];
        struct fa_frames in;
        struct fa_frames out; /* no frames: as in */
};

/* Ends the test program when the file cannot be read or is not a vector. */
void vector_read(struct vector *ret, const char *path);
void vector_deinit(struct vector *v);

static inline const struct fa_frames *vector_out(const struct vector *v) {
        return v->out.n > 0 ? &v->out : &v->in;
}

/* Calls fn with each vector whose name starts with prefix; how many there were. */
unsigned vector_each(const char *prefix, void (*fn)(const char *name, const struct vector *v));

/*
 * Prints the table of messages as the Markdown table of docs/PROTOCOL.md, which
 * tests/meta/check-protocol.sh compares.
 */
#undef NDEBUG
#include <inttypes.h>
#include <stdio.h>

#include "base/macros.h"
#include "wire/table.h"

static void print_senders(unsigned mask) {
        const char *sep = "";

        for (unsigned role = 0; role < _FA_ROLE_N; role++) {
                if (mask >> role & 1) {
                        printf("%s%s", sep, fa_role_name(role));
                        sep = ", ";
                }
        }
}

/* "0-4, 16-18" for a mask of allowed values. */
static void print_set(uint64_t mask) {
        const char *sep = "";

        for (unsigned v = 0; v < 64; v++) {
                unsigned last = v;

                if (!(mask >> v & 1))
                        continue;
                while (last < 63 && (mask >> (last + 1) & 1))
                        last++;
                printf("%s%u", sep, v);
                if (last > v)
                        printf("-%u", last);
                sep = ", ";
                v = last;
        }
}

static void print_uint(const struct fa_field *f, unsigned bits) {
        if (f->min == f->max)
                printf("%" PRIu32, f->min);
        else if (f->min == 0 && f->max == UINT64_MAX >> (64 - bits))
                printf("u%u", bits);
        else
                printf("%" PRIu32 "-%" PRIu64, f->min, f->max);
}

static void print_kind(const struct fa_field *f) {
        switch ((enum fa_kind)f->kind) {
        case FA_KIND_U8:
                print_uint(f, 8);
                return;
        case FA_KIND_U32:
                print_uint(f, 32);
                return;
        case FA_KIND_U64:
                print_uint(f, 64);
                return;
        case FA_KIND_I32:
                printf("i32");
                return;
        case FA_KIND_SET:
                print_set(f->max);
                return;
        case FA_KIND_ID:
                printf("bin 16");
                return;
        case FA_KIND_FENCE:
                printf("fence");
                return;
        case FA_KIND_STR:
        case FA_KIND_TEXT:
                printf("str %" PRIu32 "-%" PRIu64, f->min, f->max);
                return;
        case FA_KIND_NAME:
                printf(f->min ? "name" : "name or empty");
                return;
        case FA_KIND_DIGEST:
                printf("bin 0 or %" PRIu64, f->max);
                return;
        case FA_KIND_NAMES:
                printf("array 0-%" PRIu64 " of name", f->max);
                return;
        case FA_KIND_STRS:
                printf("array 0-%" PRIu64 " of str 1-%d", f->max, FA_ENDPOINT_MAX);
                return;
        case FA_KIND_VALUES:
                printf("array 0-%" PRIu64 " of u64", f->max);
                return;
        case FA_KIND_BIN:
                printf("bin %" PRIu32 "-%" PRIu64, f->min, f->max);
                return;
        case FA_KIND_PAYLOAD:
                printf("payload 0-%" PRIu64, f->max);
                return;
        }
}

static void print_fields(const struct fa_field *f) {
        const char *sep = "";

        if (!f)
                printf("-");
        for (; f && f->name; f++) {
                printf("%s%s (", sep, f->name);
                print_kind(f);
                printf(")");
                sep = ", ";
        }
}

int main(void) {
        printf("| no. | type | sent by | header, after version, type, epoch | each item | ext |\n");
        printf("|--:|---|---|---|---|---|\n");
        for (unsigned type = 1; type < _FA_MSG_N; type++) {
                const struct fa_desc *d = fa_desc_of(type);

                printf("| %u | %s | ", type, fa_msg_name(type));
                if (!d) {
                        printf("reserved | - | - | - |\n");
                        continue;
                }
                print_senders(d->senders);
                printf(" | ");
                print_fields(d->header);
                printf(" | ");
                print_fields(d->item);
                printf(" | %s |\n", d->has_ext ? "yes" : "-");
        }
        return 0;
}

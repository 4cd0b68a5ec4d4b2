/* faas.h - what the files of the program faas share */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <faas/client.h>

struct fa_command_line {
        struct faas_client *client;
        uint32_t timeout_ms; /* how long a dispatcher may be silent before it counts as not there */
        bool json;
        bool local; /* the dispatcher is in this very process */
        int argc;   /* what stands behind the command */
        char **argv;
};

/* A command: what it does with its arguments, and the program's exit code. */
int fa_submit(const struct fa_command_line *l);
int fa_run(const struct fa_command_line *l);
int fa_map(const struct fa_command_line *l);
int fa_status(const struct fa_command_line *l);
int fa_result(const struct fa_command_line *l);
int fa_wait(const struct fa_command_line *l);
int fa_cancel(const struct fa_command_line *l);
int fa_workers(const struct fa_command_line *l);
int fa_stats(const struct fa_command_line *l);

/* ---- faas-task.c: for the others ---- */

/* Says why a call failed, and gives the exit code.  @task: the id that it was about, or NULL. */
int fa_explain(int r, const char *task);

/* After a time of silence: is the dispatcher still there?  FA_EXIT_OK, or says that it is not. */
int fa_probe(const struct fa_command_line *l);

const char *fa_status_name(enum faas_status s);

/* Why a task that is final did not complete, for a line of text. */
const char *fa_reason(const struct faas_result *r);

/* The members of a result, without the braces around them. */
void fa_json_result(FILE *f, const struct faas_result *r);

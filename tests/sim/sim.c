/*
 * sim.c - runs seeds:  sim [--seeds N] [--first N] [--seed N] [--off RULE] [--rules] [--list]
 * [--verbose]
 *
 * --rules switches each rule off in turn and demands that some seed turns red: a rule that breaks
 * nothing is not kept, and a check that sees nothing is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"
#include "base/rule.h"
#include "world.h"

static const struct profile profiles[] = {
        {.name = "clean", .n_d = 2, .failing = 10},
        {.name = "duplicates", .n_d = 2, .dup = 100, .reorder = 100, .failing = 10},
        {.name = "losses", .n_d = 2, .loss = 80, .dup = 20, .cut = 20},
        {.name = "crashes",
         .n_d = 1,
         .slot_crash = 40,
         .worker_crash = 15,
         .poison = 5,
         .killer = 5,
         .looping = 5},
        {.name = "restarts", .n_d = 2, .disp_crash = 15},
        {.name = "restarts and crashes",
         .n_d = 2,
         .disp_crash = 15,
         .slot_crash = 30,
         .worker_crash = 10,
         .poison = 5},
        {.name = "restarts among failing slots",
         .n_d = 2,
         .disp_crash = 40,
         .dup = 300,
         .poison = 30,
         .slot_crash = 30},
        {.name = "paused dispatcher", .n_d = 1, .disp_stall = 20},
        {.name = "paused as long as a lease",
         .n_d = 2,
         .disp_stall = 40,
         .stall_ms = 270,
         .cut = 80},
        {.name = "pauses", .n_d = 2, .disp_stall = 15, .worker_stall = 15, .store_break = 10},
        {.name = "broken store connections",
         .n_d = 2,
         .store_break = 150,
         .disp_crash = 8,
         .slot_crash = 150},
        {.name = "paused store", .n_d = 2, .store_stall = 10, .store_break = 10},
        {.name = "lost tail", .n_d = 2, .store_lose = 15, .slot_crash = 20},
        {.name = "lost tail, bad network",
         .n_d = 2,
         .store_lose = 15,
         .loss = 150,
         .cut = 60,
         .store_break = 20},
        {.name = "lost tail after a restart", .n_d = 2, .store_lose = 40, .early_crash = 60},
        {.name = "memory store", .n_d = 1, .own_store = true, .disp_crash = 25, .slot_crash = 10},
        {.name = "everything",
         .n_d = 2,
         .loss = 20,
         .dup = 20,
         .reorder = 20,
         .cut = 10,
         .slot_crash = 20,
         .worker_crash = 8,
         .worker_stall = 8,
         .disp_crash = 8,
         .disp_stall = 8,
         .client_crash = 5,
         .store_break = 15,
         .store_stall = 3,
         .poison = 4,
         .killer = 3,
         .failing = 5,
         .looping = 4},
};

#define RULE_NAME_(name, text) #name,
static const char *const rule_names[] = {FA_RULES(RULE_NAME_)};
#define RULE_TEXT_(name, text) text,
static const char *const rule_texts[] = {FA_RULES(RULE_TEXT_)};

static struct world world;

static bool one(uint64_t seed, bool verbose) {
        const size_t n = FA_ARRAY_SIZE(profiles);

        /* Each profile in push and in pull mode, in turn. */
        return world_run(&world, seed, &profiles[seed % n], seed / n % 2, verbose);
}

static int run(uint64_t first, uint64_t n, bool verbose, bool stop) {
        int red = 0;

        for (uint64_t s = first; s < first + n; s++) {
                if (one(s, verbose))
                        continue;
                red++;
                printf("seed %lu (%s%s): %s\n  replay: sim --seed %lu --verbose\n", s,
                       world.p->name, world.pull ? ", pull" : "", world.violation, s);
                if (stop || red >= 20)
                        break;
        }
        return red;
}

static int rule_index(const char *name) {
        for (size_t i = 0; i < FA_ARRAY_SIZE(rule_names); i++)
                if (strcmp(rule_names[i], name) == 0)
                        return (int)i;
        fprintf(stderr, "sim: no rule %s; --list names them\n", name);
        exit(2);
}

/* Where the loss of a rule shows soonest; the others show in the first few seeds of all. */
static const char *const best[] = {
        [FA_RULE_OWNER] = "pauses",
        [FA_RULE_SEQUENCE] = "everything",
        [FA_RULE_LEASE] = "pauses",
        [FA_RULE_TICK_ONE] = "paused store",
        [FA_RULE_TICK_CHECK] = "paused as long as a lease",
        [FA_RULE_STRIKE_FENCE] = "restarts among failing slots",
        [FA_RULE_KEEP_NOT_MINE] = "restarts",
        [FA_RULE_HINT] = "restarts",
        [FA_RULE_LOST_LATER] = "lost tail, bad network",
        [FA_RULE_RENEW_ALL] = "lost tail, bad network",
        [FA_RULE_REBIND_OLDER] = "lost tail after a restart",
        [FA_RULE_LOOK_UP] = "restarts",
        [FA_RULE_RESTORE_GRACE] = "lost tail after a restart",
        [_FA_RULE_N] = NULL,
};

static bool tried(uint64_t seed, size_t rule) {
        return !best[rule] ||
               strcmp(profiles[seed % FA_ARRAY_SIZE(profiles)].name, best[rule]) == 0;
}

/* Each rule off in turn: the first red seed of at most n, and it must be green with the rule. */
static int plant(uint64_t n) {
        int missed = 0;

        for (size_t i = 0; i < FA_ARRAY_SIZE(rule_names); i++) {
                uint64_t s = 1;
                fa_rules_off = UINT64_C(1) << i;
                while (s <= n && (!tried(s, i) || one(s, false)))
                        s++;
                if (s <= n)
                        printf("%-16s red at seed %lu (%s): %s\n", rule_names[i], s, world.p->name,
                               world.violation);
                else
                        printf("%-16s GREEN in %lu seeds: %s\n", rule_names[i], n, rule_texts[i]);
                fa_rules_off = 0;
                if (s <= n && !one(s, false))
                        printf("%-16s but seed %lu is red with it too\n", rule_names[i], s),
                                missed++;
                fflush(stdout);
                missed += s > n;
        }
        return missed;
}

static uint64_t number(const char *s) {
        char *end;
        uint64_t v = s ? strtoull(s, &end, 10) : 0;

        if (!s || *end || !*s) {
                fprintf(stderr, "sim: expected a number, not \"%s\"\n", s ? s : "");
                exit(2);
        }
        return v;
}

int main(int argc, char **argv) {
        uint64_t first = 1, n = 2000;
        bool verbose = false, rules = false;
        int red;

        for (int i = 1; i < argc; i++) {
                const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
                if (!strcmp(a, "--seeds"))
                        n = number(v), i++;
                else if (!strcmp(a, "--first"))
                        first = number(v), i++;
                else if (!strcmp(a, "--seed"))
                        first = number(v), n = 1, i++;
                else if (!strcmp(a, "--off") && v)
                        fa_rules_off |= UINT64_C(1) << rule_index(v), i++;
                else if (!strcmp(a, "--verbose"))
                        verbose = true;
                else if (!strcmp(a, "--rules"))
                        rules = true;
                else if (!strcmp(a, "--list")) {
                        for (size_t k = 0; k < FA_ARRAY_SIZE(rule_names); k++)
                                printf("%s\t%s\n", rule_names[k], rule_texts[k]);
                        return 0;
                } else {
                        fprintf(stderr, "usage: sim [--seeds N] [--first N] [--seed N] [--off "
                                        "RULE] [--rules] [--list] [--verbose]\n");
                        return 2;
                }
        }
        if (rules)
                return plant(n) != 0;
        red = run(first, n, verbose, false);
        if (!red)
                printf("%lu seeds, all green\n", n);
        return red != 0;
}

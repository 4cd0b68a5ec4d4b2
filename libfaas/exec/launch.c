/*
 * launch.c - how a zygote comes to life, as nobody's child
 *
 * Either way there is a process in between that forks the zygote and ends at once: the host has no
 * child that it could reap by accident, and none that it would have to.  A zygote with functions of
 * the host is a snapshot of the host, made by fork(); without, it is the helper program, which
 * does not care about the host's threads and locks.
 */
#include "exec/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <faas/error.h>
#include <faas/version.h>

#include "base/error.h"
#include "base/macros.h"
#include "exec/mail.h"

#define HELPER_SOCK 3
#define HELPER_ARGS 4 /* program, version, number of slots, "builtins" or "-"; then the modules */

/* A host that ignores SIGCHLD or waits for anyone has taken it already: then it is gone as well. */
static void reap(pid_t pid) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* In a child that the host waits for: leaves the zygote behind. */
static _Noreturn void fork_again(int sock, const struct fa_zygote_cfg *cfg) {
        /* Out of the terminal's foreground group: its Ctrl-C is for the host to hear. */
        (void)setsid();

        pid_t pid = fork();
        if (pid == 0)
                fa_zygote_main(sock, cfg);
        if (pid < 0) {
                struct fa_mail no = {.type = FA_MAIL_NOFORK, .value = errno};
                (void)fa_mail_send(sock, &no, NULL);
        }
        _exit(0);
}

static int fork_zygote(int host, int sock, const struct fa_zygote_cfg *cfg) {
        sigset_t all;
        sigset_t old;

        /* The host's signal handlers are not made for the life in between. */
        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        pid_t pid = fork();
        if (pid == 0) {
                close(host);
                fork_again(sock, cfg);
        }
        int e = errno;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (pid < 0)
                return fa_errno(e, "cannot fork the slots' parent");
        reap(pid);
        return 0;
}

static const char *helper_path(void) {
        const char *path = secure_getenv("FAAS_SLOTS_HELPER");

        return path && *path ? path : FA_SLOTS_HELPER;
}

static int spawn_helper_argv(int sock, char **argv) {
        posix_spawn_file_actions_t fa;
        posix_spawnattr_t attr;
        sigset_t all;
        sigset_t none;
        pid_t pid;

        sigfillset(&all);
        sigemptyset(&none);
        if (posix_spawn_file_actions_init(&fa))
                return -ENOMEM;
        if (posix_spawnattr_init(&attr)) {
                posix_spawn_file_actions_destroy(&fa);
                return -ENOMEM;
        }
        int e = posix_spawnattr_setsigdefault(&attr, &all);
        if (!e)
                e = posix_spawnattr_setsigmask(&attr, &none);
        if (!e)
                e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        if (!e)
                e = posix_spawn_file_actions_adddup2(&fa, sock, HELPER_SOCK);
        if (!e)
                e = posix_spawn_file_actions_addclosefrom_np(&fa, HELPER_SOCK + 1);
        if (!e)
                e = posix_spawn(&pid, argv[0], &fa, &attr, argv, environ);
        posix_spawn_file_actions_destroy(&fa);
        posix_spawnattr_destroy(&attr);
        if (!e)
                reap(pid);
        return -e;
}

static int spawn_helper(int sock, const struct fa_zygote_cfg *cfg) {
        char number[16]; /* 10 digits of an unsigned int */
        char version[] = FAAS_VERSION_STRING;
        char builtins[] = "builtins";
        char dash[] = "-";
        size_t n = 0;

        while (cfg->modules && cfg->modules[n])
                n++;
        char **argv = calloc(HELPER_ARGS + n + 1, sizeof(*argv));
        if (!argv)
                return fa_error(-ENOMEM, "no memory for the arguments of the slots' parent");
        (void)snprintf(number, sizeof(number), "%u", cfg->n_slots);
        argv[0] = fa_unconst(helper_path());
        argv[1] = version;
        argv[2] = number;
        argv[3] = cfg->builtins ? builtins : dash;
        for (size_t i = 0; i < n; i++)
                argv[HELPER_ARGS + i] = fa_unconst(cfg->modules[i]);

        int r = spawn_helper_argv(sock, argv);
        if (r < 0)
                fa_errno(-r, "cannot start %s", argv[0]);
        free(argv);
        return r;
}

int fa_launch(int *ret_sock, const struct fa_zygote_cfg *cfg) {
        int sv[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
                return fa_errno(errno, "cannot make the socket of the slots' parent");
        /* In the helper dup2() of a descriptor to itself would leave it close-on-exec. */
        if (sv[1] == HELPER_SOCK) {
                sv[1] = fcntl(HELPER_SOCK, F_DUPFD_CLOEXEC, HELPER_SOCK + 1);
                int e = errno;
                close(HELPER_SOCK);
                if (sv[1] < 0) {
                        close(sv[0]);
                        return fa_errno(e, "cannot make the socket of the slots' parent");
                }
        }

        int r = cfg->functions ? fork_zygote(sv[0], sv[1], cfg) : spawn_helper(sv[1], cfg);
        close(sv[1]);
        if (r < 0)
                close(sv[0]);
        else
                *ret_sock = sv[0];
        return r;
}

/* In words that every version understands: the head of a mail has never changed. */
static int refuse_version(const char *program, const char *wanted) {
        struct fa_mail m = {.type = FA_MAIL_REFUSED, .value = FAAS_E_VERSION};
        int len = snprintf(m.data, sizeof(m.data), "%s is of version %s, this library is %s",
                           program, FAAS_VERSION_STRING, wanted);

        m.len = (uint32_t)FA_MAX(len, 0);
        (void)fa_mail_send(HELPER_SOCK, &m, NULL);
        return 1;
}

int fa_launch_helper_main(int argc, char **argv) {
        if (argc < HELPER_ARGS)
                return 1;
        if (strcmp(argv[1], FAAS_VERSION_STRING) != 0)
                return refuse_version(argv[0], argv[1]);

        long n_slots = strtol(argv[2], NULL, 10);
        if (n_slots < 1 || n_slots > FA_SLOTS_MAX)
                return 1;
        struct fa_zygote_cfg cfg = {.n_slots = (unsigned)n_slots,
                                    .modules = (const char *const *)argv + HELPER_ARGS,
                                    .builtins = strcmp(argv[3], "builtins") == 0};
        fork_again(HELPER_SOCK, &cfg);
}

/*
 * zygote.c - the process that forks, watches, times and buries the slots
 *
 * One thread around one poll().  The host asks for slots and kills; the zygote reports deaths.  It
 * is the slots' parent and subreaper, so that nothing a slot leaves behind escapes it, and it is
 * alone in enforcing time-outs, so that they hold while the host sleeps or is stopped.  It never
 * runs a task and never waits for the host: a report that the socket does not take stays with its
 * slot.  Its own end is EOF on the host's socket.
 */
#include "exec/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "exec/mail.h"
#include "exec/process.h"
#include "exec/slot.h"

#define CHILDREN_MAX 4096   /* looked at per sweep; the rest at the next one */
#define DRAIN_MAX (1 << 20) /* of a dead slot's standard error: its orphans may go on writing */
#define HIGH_FD 512         /* functions that close or count low descriptors miss ours up here */

enum { POLL_HOST, POLL_CHILD, POLL_WAKE, POLL_FIXED };

struct zslot {
        pid_t pid; /* 0: none */
        uint32_t gen;
        struct fa_control *control;
        int err_fd;     /* its standard error; -1: closed */
        bool timed_out; /* we killed it because its task's time was over */
        bool report;    /* it is dead, and the host does not know yet */
        int status;
        int refused; /* errno of a fork that failed, and the host does not know yet; 0: none */
        char *log;   /* ring of FA_LOG_MAX bytes, the last of log_total */
        size_t log_total;
};

struct zygote {
        int host, child_fd, wake_fd;
        unsigned n_slots;
        struct zslot *slots;
        struct pollfd *polls; /* POLL_FIXED, then one for each open standard error of a slot */
        struct fa_registry registry;
        struct fa_mail mail;
        pid_t children[CHILDREN_MAX];
};

static _Noreturn void
enter_slot(struct zygote *z, int bell, int memory_fd, int err_fd, pid_t parent) {
        /* Static: outlives this frame, which fa_slot_main() never leaves. */
        static struct fa_slot_env env;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(0); /* the zygote died before we asked to die with it */
        (void)setsid();
        (void)prctl(PR_SET_NAME, "faas-slot");

        if (fa_channel_map(&env.channel, memory_fd, true) < 0 || dup2(err_fd, STDERR_FILENO) < 0)
                _exit(FA_SLOT_EXIT_MEMORY);
        env.bell = fa_process_move_fd(bell, HIGH_FD);
        env.wake = fa_process_move_fd(z->wake_fd, HIGH_FD);
        env.registry = &z->registry;
        int keep[2] = {FA_MIN(env.bell, env.wake), FA_MAX(env.bell, env.wake)};
        fa_process_close_fds(keep, 2);
        fa_process_reset_signals();
        fa_slot_main(&env);
}

/* 0 or an errno. */
static int spawn(struct zygote *z, struct zslot *slot, int bell, int memory_fd) {
        int err[2];

        if (!slot->log && !(slot->log = malloc(FA_LOG_MAX)))
                return ENOMEM;
        void *page = mmap(NULL, FA_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
        if (page == MAP_FAILED)
                return errno;
        /* No slot gets to see another one's page. */
        (void)madvise(page, FA_CONTROL_SIZE, MADV_DONTFORK);
        if (pipe2(err, O_CLOEXEC) < 0) {
                int e = errno;
                munmap(page, FA_CONTROL_SIZE);
                return e;
        }
        (void)fcntl(err[0], F_SETFL, O_NONBLOCK);

        slot->control = page;
        atomic_store(&slot->control->watch_at, FA_NEVER);
        pid_t self = getpid();
        pid_t pid = fork();
        if (pid == 0)
                enter_slot(z, bell, memory_fd, err[1], self);
        int e = pid < 0 ? errno : 0;
        close(err[1]);
        if (e) {
                close(err[0]);
                munmap(page, FA_CONTROL_SIZE);
                slot->control = NULL;
                return e;
        }
        slot->pid = pid;
        slot->err_fd = err[0];
        slot->timed_out = false;
        slot->log_total = 0;
        return 0;
}

static void kill_slot(const struct zslot *slot) {
        /* The group as well; alone if it has not got as far as its own session. */
        (void)kill(-slot->pid, SIGKILL);
        (void)kill(slot->pid, SIGKILL);
}

/* Takes what the slot wrote to standard error, at most max bytes; keeps the last FA_LOG_MAX. */
static void read_log(struct zslot *slot, size_t max) {
        char buf[FA_LOG_MAX];

        while (slot->err_fd >= 0 && max > 0) {
                ssize_t n = read(slot->err_fd, buf, sizeof(buf));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        close(slot->err_fd);
                        slot->err_fd = -1;
                        return;
                }
                for (ssize_t i = 0; i < n; i++)
                        slot->log[slot->log_total++ % FA_LOG_MAX] = buf[i];
                max -= FA_MIN(max, (size_t)n);
        }
}

static struct zslot *find_slot(struct zygote *z, pid_t pid) {
        for (unsigned i = 0; i < z->n_slots; i++)
                if (z->slots[i].pid == pid)
                        return &z->slots[i];
        return NULL;
}

/*
 * Ends orphans.  One whose session is a living slot's is that slot's own business until it dies;
 * any other was left by a dead slot, or has made itself independent, which nobody here may.  What a
 * killed orphan leaves behind comes with its own death, so the sweep after that finds it.
 */
static void sweep(struct zygote *z) {
        size_t n = fa_process_children(z->children, CHILDREN_MAX);

        for (size_t i = 0; i < n; i++) {
                pid_t pid = z->children[i];

                if (find_slot(z, pid))
                        continue;
                pid_t sid = getsid(pid);
                if (sid <= 0 || !find_slot(z, sid))
                        (void)kill(pid, SIGKILL);
        }
}

static void reap(struct zygote *z) {
        struct signalfd_siginfo drop[16];
        bool any = false;

        while (read(z->child_fd, drop, sizeof(drop)) > 0)
                ;
        for (;;) {
                siginfo_t info = {0};

                /* Looked at first and reaped later: its group's number is its own until then. */
                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                        break;
                struct zslot *slot = find_slot(z, info.si_pid);
                int status = 0;

                if (slot)
                        (void)kill(-slot->pid, SIGKILL);
                (void)waitpid(info.si_pid, &status, 0);
                any = true;
                if (!slot)
                        continue;
                read_log(slot, DRAIN_MAX);
                if (slot->err_fd >= 0)
                        close(slot->err_fd);
                munmap(slot->control, FA_CONTROL_SIZE);
                slot->control = NULL;
                slot->err_fd = -1;
                slot->pid = 0;
                slot->status = status;
                slot->report = true;
        }
        if (any)
                sweep(z);
}

static void fill_refusal(struct fa_mail *m, const struct zslot *slot) {
        m->type = FA_MAIL_NOFORK;
        m->flags = 0;
        m->value = slot->refused;
        m->len = 0;
}

static void fill_death(struct fa_mail *m, const struct zslot *slot) {
        size_t len = FA_MIN(slot->log_total, FA_LOG_MAX);

        m->type = FA_MAIL_DOWN;
        m->flags = slot->timed_out ? FA_MAIL_TIMED_OUT : 0;
        m->value = slot->status;
        m->len = (uint32_t)len;
        for (size_t k = 0; k < len; k++)
                m->data[k] = slot->log[(slot->log_total - len + k) % FA_LOG_MAX];
}

/* What the host does not know yet.  False: its socket is full, and the rest stays. */
static bool send_reports(struct zygote *z) {
        struct fa_mail *m = &z->mail;

        for (unsigned i = 0; i < z->n_slots; i++) {
                struct zslot *slot = &z->slots[i];

                if (!slot->report && !slot->refused)
                        continue;
                m->slot = i;
                m->gen = slot->gen;
                if (slot->refused)
                        fill_refusal(m, slot);
                else
                        fill_death(m, slot);
                int r = fa_mail_send(z->host, m, NULL);
                if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
                        return false;
                /* Sent, or nobody reads any more. */
                slot->report = false;
                slot->refused = 0;
        }
        return true;
}

/* Kills what is late and returns when the next one will be. */
static uint64_t expire(struct zygote *z) {
        uint64_t next_ns = FA_NEVER;
        uint64_t now_ns = 0;

        for (unsigned i = 0; i < z->n_slots; i++) {
                struct zslot *slot = &z->slots[i];
                uint64_t at_ns = slot->pid ? atomic_load(&slot->control->deadline_ns) : 0;

                if (at_ns <= FA_DEADLINE_EXPIRED)
                        continue;
                if (now_ns == 0)
                        now_ns = fa_now();
                if (at_ns > now_ns) {
                        next_ns = FA_MIN(next_ns, at_ns);
                } else if (atomic_compare_exchange_strong(&slot->control->deadline_ns, &at_ns,
                                                          FA_DEADLINE_EXPIRED)) {
                        slot->timed_out = true;
                        kill_slot(slot);
                }
        }
        return next_ns;
}

/*
 * Tells the slots when we wake, then looks again: a slot that armed an earlier deadline in between
 * has either been seen by the second look or sees the new time and wakes us.
 */
static uint64_t watch(struct zygote *z) {
        uint64_t next_ns = expire(z);

        for (;;) {
                for (unsigned i = 0; i < z->n_slots; i++)
                        if (z->slots[i].pid)
                                atomic_store(&z->slots[i].control->watch_at, next_ns);
                uint64_t again_ns = expire(z);
                if (again_ns >= next_ns)
                        return next_ns;
                next_ns = again_ns;
        }
}

/* Kills all there are, and says how many that is. */
static size_t kill_all(struct zygote *z) {
        size_t n = fa_process_children(z->children, CHILDREN_MAX);
        size_t n_slots = 0;

        for (size_t i = 0; i < n; i++)
                (void)kill(z->children[i], SIGKILL);
        for (unsigned i = 0; i < z->n_slots; i++) {
                if (!z->slots[i].pid)
                        continue;
                kill_slot(&z->slots[i]);
                n_slots++;
        }
        return n ? n : n_slots; /* without /proc there may be orphans that nobody can name */
}

static _Noreturn void end(struct zygote *z) {
        /* Everything that is ours, and what that leaves behind, until there is nothing left.  As
         * many as were killed are waited for before the next look: to look costs as many calls. */
        for (;;) {
                size_t n = kill_all(z);

                if (n == 0)
                        _exit(0);
                while (n-- > 0) {
                        pid_t pid = waitpid(-1, NULL, 0);
                        if (pid < 0 && errno != EINTR)
                                _exit(0);
                        struct zslot *slot = pid > 0 ? find_slot(z, pid) : NULL;
                        if (slot)
                                slot->pid = 0;
                }
        }
}

static void handle_mail(struct zygote *z) {
        struct fa_mail *m = &z->mail;
        int fds[2];

        for (;;) {
                int r = fa_mail_recv(z->host, m, fds);

                if (r == FAAS_E_AGAIN)
                        return;
                if (r != 0 || m->slot >= z->n_slots)
                        end(z);
                struct zslot *slot = &z->slots[m->slot];
                if (m->type == FA_MAIL_KILL && slot->pid && slot->gen == m->gen)
                        kill_slot(slot);
                if (m->type == FA_MAIL_SPAWN && !slot->pid && !slot->report) {
                        slot->gen = m->gen;
                        /* Without descriptors: this process has none left. */
                        slot->refused = fds[0] < 0 ? EMFILE : spawn(z, slot, fds[0], fds[1]);
                }
                if (fds[0] >= 0) {
                        close(fds[0]);
                        close(fds[1]);
                }
        }
}

/* What poll() found there, in the order of its entries. */
static void read_logs(struct zygote *z) {
        const struct pollfd *p = &z->polls[POLL_FIXED];

        for (unsigned i = 0; i < z->n_slots; i++)
                if (z->slots[i].err_fd >= 0 && p++->revents)
                        read_log(&z->slots[i], (size_t)16 * FA_LOG_MAX);
}

static _Noreturn void loop(struct zygote *z) {
        bool sent = true;

        for (;;) {
                uint64_t next_ns = watch(z);
                unsigned n = POLL_FIXED;

                z->polls[POLL_HOST] = (struct pollfd){z->host, sent ? POLLIN : POLLIN | POLLOUT, 0};
                z->polls[POLL_CHILD] = (struct pollfd){z->child_fd, POLLIN, 0};
                z->polls[POLL_WAKE] = (struct pollfd){z->wake_fd, POLLIN, 0};
                /* Only what is open: more entries than RLIMIT_NOFILE are refused. */
                for (unsigned i = 0; i < z->n_slots; i++)
                        if (z->slots[i].err_fd >= 0)
                                z->polls[n++] = (struct pollfd){z->slots[i].err_fd, POLLIN, 0};

                int ms = next_ns == FA_NEVER ? -1 : fa_poll_ms(next_ns, fa_now());
                if (poll(z->polls, n, ms) < 0)
                        continue;
                if (z->polls[POLL_WAKE].revents) {
                        uint64_t drop;
                        ssize_t len = read(z->wake_fd, &drop, sizeof(drop));
                        (void)len;
                }
                read_logs(z);
                if (z->polls[POLL_CHILD].revents)
                        reap(z);
                if (z->polls[POLL_HOST].revents & ~POLLOUT)
                        handle_mail(z);
                sent = send_reports(z);
        }
}

static _Noreturn void refuse(struct zygote *z, int r) {
        struct fa_mail *m = &z->mail;

        m->type = FA_MAIL_REFUSED;
        m->value = r;
        m->len = (uint32_t)strlen(faas_error_text());
        memcpy(m->data, faas_error_text(), m->len);
        (void)fa_mail_send(z->host, m, NULL);
        _exit(1);
}

static void load(struct zygote *z, const struct fa_zygote_cfg *cfg) {
        struct fa_mail *m = &z->mail;
        int r = 0;

        if (cfg->functions)
                r = fa_registry_add(&z->registry, cfg->functions, "the host program");
        if (r == 0 && cfg->builtins)
                r = fa_registry_add(&z->registry, fa_builtins, "the built-in functions");
        for (int i = 0; r == 0 && cfg->modules && cfg->modules[i]; i++) {
                struct fa_mail loading = {.type = FA_MAIL_LOADING, .value = i};

                /* First, because its constructors may end this process, or never return. */
                (void)fa_mail_send(z->host, &loading, NULL);
                r = fa_registry_load(&z->registry, cfg->modules[i]);
        }
        if (r == 0)
                r = fa_registry_add_maps(&z->registry);
        if (r != 0)
                refuse(z, r);

        m->type = FA_MAIL_READY;
        m->len = 0;
        for (size_t i = 0; i < z->registry.n; i++) {
                memcpy(m->data + m->len, z->registry.rows[i].name,
                       z->registry.rows[i].name_len + 1);
                m->len += (uint32_t)z->registry.rows[i].name_len + 1;
        }
        if (fa_mail_send(z->host, m, NULL) < 0)
                _exit(1);
}

_Noreturn void fa_zygote_main(int sock, const struct fa_zygote_cfg *cfg) {
        struct fa_mail hello = {.type = FA_MAIL_HELLO, .value = getpid()};
        sigset_t child;

        (void)prctl(PR_SET_NAME, "faas-zygote");
        sock = fa_process_move_fd(sock, 3);
        fa_process_close_fds(&sock, 1);
        fa_process_reset_signals();
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        (void)pthread_sigmask(SIG_BLOCK, &child, NULL);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);

        if (fa_mail_send(sock, &hello, NULL) < 0)
                _exit(1);
        struct zygote *z = calloc(1, sizeof(*z));
        if (!z)
                _exit(1);
        z->host = sock;
        z->n_slots = cfg->n_slots;
        z->slots = calloc(cfg->n_slots, sizeof(*z->slots));
        z->polls = calloc(POLL_FIXED + cfg->n_slots, sizeof(*z->polls));
        if (!z->slots || !z->polls)
                refuse(z, fa_error(-ENOMEM, "no memory for %u slots", cfg->n_slots));
        for (unsigned i = 0; i < z->n_slots; i++)
                z->slots[i].err_fd = -1;
        int r = fa_process_null_fds(0, 2);
        z->child_fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
        z->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (r < 0 || z->child_fd < 0 || z->wake_fd < 0)
                refuse(z, fa_errno(r < 0 ? -r : errno, "cannot prepare the slots' parent"));
        load(z, cfg);
        loop(z);
}

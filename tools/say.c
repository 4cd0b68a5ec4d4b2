/*
 * say.c - one place where the programs talk to people: everything but results goes to standard
 * error, one line per event
 */
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

/* A line of the library has at most FAAS_TEXT_MAX bytes and some words around it. */
enum { LINE_MAX_LEN = 4096 };

static const char *name = "faas";
static bool as_json;
static void (*make_room)(void);

static const char *const levels[] = {
        [FAAS_LOG_ERROR] = "error",
        [FAAS_LOG_WARNING] = "warning",
        [FAAS_LOG_INFO] = "info",
        [FAAS_LOG_DEBUG] = "debug",
};

/* The wrong way round on purpose: using it fails, as with a closed descriptor. */
static void occupy(int fd, int mode) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
                (void)!open("/dev/null", mode); /* the lowest free number: fd */
}

/* The path that the library knows is that of the installation, where nothing may be yet. */
static void find_helper(void) {
        static const char *const places[] = {"../libexec/faas/faas-slots", "../libfaas/faas-slots"};
        char self[PATH_MAX];
        char path[PATH_MAX + 32]; /* and the longest of the places */
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash;

        self[n > 0 ? n : 0] = '\0';
        slash = strrchr(self, '/');
        if (!slash)
                return;
        slash[1] = '\0';
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                (void)snprintf(path, sizeof(path), "%s%s", self, places[i]);
                if (access(path, X_OK) == 0) {
                        (void)setenv("FAAS_SLOTS_HELPER", path, 0);
                        return;
                }
        }
}

void fa_say_init(const char *program) {
        name = program;
        occupy(STDIN_FILENO, O_WRONLY);
        occupy(STDOUT_FILENO, O_RDONLY);
        occupy(STDERR_FILENO, O_RDWR);
        (void)signal(SIGPIPE, SIG_IGN);
        find_helper();
}

/* An object without its end. */
static void write_json(enum faas_log_level level, const char *text) {
        struct timespec now;
        struct tm tm;
        char date[32]; /* 20 characters until the year 9999 */

        (void)clock_gettime(CLOCK_REALTIME, &now);
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
        fprintf(stderr, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",", date, now.tv_nsec / 1000000,
                levels[level]);
        fa_json_bytes(stderr, "text", text, strlen(text));
}

static void write_line(enum faas_log_level level, char *text) {
        if (make_room)
                make_room();
        for (char *c = text; *c; c++) {
                if ((unsigned char)*c < ' ' || *c == 0x7f)
                        *c = '?';
        }
        if (as_json) {
                write_json(level, text);
                fputs("}\n", stderr);
        } else {
                fprintf(stderr, "%s: %s\n", name, text);
        }
        (void)fflush(stderr);
}

static void from_library(void *userdata, enum faas_log_level level, const char *line) {
        char text[LINE_MAX_LEN];

        (void)snprintf(text, sizeof(text), "%s", line);
        write_line(level, text);
}

void fa_say_log(enum faas_log_level level, bool json) {
        static char buffer[LINE_MAX_LEN * 2];

        as_json = json;
        /* So that a line leaves in one piece, also where several programs share the file. */
        (void)setvbuf(stderr, buffer, _IOFBF, sizeof(buffer));
        faas_set_log(from_library, NULL, level);
}

void fa_say_before(void (*hide)(void)) {
        make_room = hide;
}

__attribute__((format(printf, 2, 0))) static void
say(enum faas_log_level level, const char *fmt, va_list args) {
        char text[LINE_MAX_LEN];

        (void)vsnprintf(text, sizeof(text), fmt, args);
        write_line(level, text);
}

void fa_say(enum faas_log_level level, const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        say(level, fmt, args);
        va_end(args);
}

void fa_url_shown(char *to, size_t size, const char *url) {
        const char *scheme = strstr(url, "://");
        const char *rest = scheme ? scheme + 3 : url;
        const char *at = memrchr(rest, '@', strcspn(rest, "/?"));
        char *value;

        (void)snprintf(to, size, "%.*s%s", (int)(rest - url), url, at ? at + 1 : rest);
        value = strstr(to, "password=");
        if (value) {
                value += strlen("password=");
                memmove(value, value + strcspn(value, "&"),
                        strlen(value + strcspn(value, "&")) + 1);
        }
}

void fa_say_ready(const char *url, const char *mode, const char *store_url) {
        char text[LINE_MAX_LEN];
        char store[LINE_MAX_LEN / 2];

        fa_url_shown(store, sizeof(store), store_url);
        (void)snprintf(text, sizeof(text), "listening on %s, %s, store %s", url, mode, store);
        if (!as_json) {
                write_line(FAAS_LOG_INFO, text);
                return;
        }
        const struct {
                const char *key;
                const char *value;
        } more[] = {{"url", url}, {"mode", mode}, {"store", store}};
        write_json(FAAS_LOG_INFO, text);
        for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
                putc(',', stderr);
                fa_json_bytes(stderr, more[i].key, more[i].value, strlen(more[i].value));
        }
        fputs("}\n", stderr);
        (void)fflush(stderr);
}

_Noreturn void fa_usage(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        say(FAAS_LOG_ERROR, fmt, args);
        va_end(args);
        exit(FA_EXIT_USAGE);
}

int fa_flush(void) {
        static bool said;

        /* An error of an earlier write may have left errno behind or not; the flag stays. */
        errno = 0;
        if (fflush(stdout) == 0 && !ferror(stdout))
                return FA_EXIT_OK;
        if (said)
                return FA_EXIT_ERROR;
        said = true;
        fa_say_error("cannot write to standard output: %s", fa_errno_text(errno ? errno : EIO));
        return FA_EXIT_ERROR;
}

const char *fa_errno_text(int e) {
        const char *text = strerrordesc_np(e);

        return text ? text : "unknown error";
}

#undef NDEBUG
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "th.h"

/* Sends one inline command and reads one line. */
static void ask(const struct th_redis *r, const char *command, char *answer, size_t size) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        size_t n = 0;

        strcpy(addr.sun_path, r->socket);
        cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        cr_assert_eq(write(fd, command, strlen(command)), (ssize_t)strlen(command));
        while (n < size - 1 && read(fd, answer + n, 1) == 1 && answer[n] != '\n')
                n++;
        answer[n] = '\0';
        close(fd);
}

Test(redis, it_answers_once_it_is_started) {
        struct th_redis r = {0};
        char answer[64];
        int before = th_count_fds();

        th_redis_start(&r, false);
        ask(&r, "SET a 1\r\n", answer, sizeof(answer));
        cr_assert_str_eq(answer, "+OK\r");
        th_redis_kill(&r);
        cr_assert_eq(th_count_fds(), before);
        th_redis_start(&r, false);
        ask(&r, "EXISTS a\r\n", answer, sizeof(answer));
        cr_assert_str_eq(answer, ":0\r");
}

Test(redis, an_append_only_one_keeps_its_data_over_a_kill) {
        struct th_redis r = {0};
        char answer[64];

        th_redis_start(&r, true);
        ask(&r, "CONFIG SET appendfsync always\r\n", answer, sizeof(answer));
        ask(&r, "SET a 1\r\n", answer, sizeof(answer));
        cr_assert_str_eq(answer, "+OK\r");
        th_redis_kill(&r);
        th_redis_start(&r, true);
        ask(&r, "EXISTS a\r\n", answer, sizeof(answer));
        cr_assert_str_eq(answer, ":1\r");
}

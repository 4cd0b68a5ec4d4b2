#undef NDEBUG
#include <fcntl.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "th.h"

Test(fds, an_open_fd_is_counted_until_it_is_closed) {
        int before = th_count_fds();
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        cr_assert_geq(before, 3);
        cr_assert_eq(th_count_fds(), before + 1);
        close(fd);
        cr_assert_eq(th_count_fds(), before);
}

#undef NDEBUG
#include <stdlib.h>
#include <criterion/criterion.h>
static void *volatile lost;
Test(leak, loses_memory) {
        lost = malloc(1234);
        lost = NULL;
        cr_assert(1);
}

/* leak-plain.c - the planted leak of a program without Criterion: a slot's helper, a tool */
#include <stdlib.h>

static void *volatile lost;

int main(void) {
        lost = malloc(1234);
        lost = NULL;
        return 0;
}

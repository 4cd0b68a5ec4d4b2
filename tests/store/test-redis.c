/*
 * test-redis.c - the Redis store: the suite of all stores, on a real server, with virtual time
 *
 * Built twice: with RB_CLUSTER the server is the only node of a cluster.
 */
#undef NDEBUG
#include "redis-bed.h"

const struct bed_ops bed_under_test = RB_VIRTUAL;

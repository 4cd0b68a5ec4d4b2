/* stop.h - how the programs that serve are asked to end */
#pragma once

/*
 * Blocks SIGTERM and SIGINT and gives a signalfd for both, which is readable once for each that
 * comes: the first drains, the second ends.  Negative errno.
 */
int fa_stop_fd(void);

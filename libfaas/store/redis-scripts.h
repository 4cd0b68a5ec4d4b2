/* redis-scripts.h - the scripts of scripts/ as text */
#pragma once

extern const char fa_redis_lua_hello[], fa_redis_lua_group[], fa_redis_lua_reap[],
        fa_redis_lua_aside[];

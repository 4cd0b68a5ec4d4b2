-- hello.lua - the first word on a connection: is this a store of ours, and was Redis started again?
--
-- ARGV: the schema's version, Redis's run id.  Answers the schema that is there (0: other data of
-- the name), and the number of restarts seen so far.
local M = KEYS[1]
local kind = redis.call('TYPE', M).ok
if kind ~= 'none' and kind ~= 'hash' then
        return {0, kind}
end
local m = redis.call('HMGET', M, 'v', 'run')
if not m[1] then
        if kind == 'hash' then
                return {0, kind}
        end
        redis.call('HSET', M, 'v', ARGV[1])
elseif m[1] ~= ARGV[1] then
        return {tonumber(m[1]) or 0, m[1]}
end
if m[2] ~= ARGV[2] then
        redis.call('HSET', M, 'run', ARGV[2])
        if m[2] then
                redis.call('HINCRBY', M, 'restarts', 1)
                redis.call('HSET', M, 'renew', 1, 'pending', 1)
        end
end
return {tonumber(ARGV[1]), redis.call('HGET', M, 'restarts') or '0'}

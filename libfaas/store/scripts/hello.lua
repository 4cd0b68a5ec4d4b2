-- hello.lua - the first word on a connection: is this a store of ours, may we write it, and was Redis
-- started again?
--
-- ARGV: the schema's version, Redis's run id.  Answers the schema that is there (0: other data of
-- the name), and the number of restarts seen so far.
local kind = call('TYPE', M).ok
if kind ~= 'none' and kind ~= 'hash' then
        return {0, kind}
end
local m = call('HMGET', M, 'v', 'run', 'restarts', 'xtail', 'ttail')
if not m[1] and kind == 'hash' then
        return {0, kind}
elseif m[1] and m[1] ~= ARGV[1] then
        return {number(m[1]) or 0, m[1]}
end

-- Each command that the scripts need, on a key that is nobody's: better refused here than half-way.
local probe = base .. 'probe'
call('APPEND', probe, '0')
call('GETRANGE', probe, 0, 0)
call('GET', probe)
call('UNLINK', probe)
call('HSET', LIVE, 'probe', 0)
call('HINCRBY', LIVE, 'probe', 1)
call('HDEL', LIVE, 'probe')
call('HLEN', LIVE)
call('HKEYS', LIVE)
call('HSTRLEN', LIVE, 'probe')
call('HGET', base .. 'bad', 'probe')
call('GETRANGE', base .. 'x:' .. (m[4] or 0), 0, 0)
call('GETRANGE', base .. 't:' .. (m[5] or 0), 0, 0)
redis.call('TIME')
local all = call('HGETALL', M)

if not m[1] then
        call('HSET', M, 'v', ARGV[1])
end
if m[3] and not number(m[3]) then
        -- What the leases say that it was.
        local n = 0
        for i = 1, #all, 2 do
                if string.match(all[i], '^l:%d+:b$') then
                        n = math.max(n, number(all[i + 1]) or 0)
                end
        end
        counts_read(COUNTS, call('HMGET', M, unpack(COUNTS)))
        odd().set_aside('meta:restarts', m[3])
        counts_write({'restarts', num(n)})
end
if m[2] ~= ARGV[2] then
        call('HSET', M, 'run', ARGV[2])
        if m[2] then
                call('HINCRBY', M, 'restarts', 1)
                call('HSET', M, 'renew', 1, 'pending', 1)
        end
end
return {tonumber(ARGV[1]), call('HGET', M, 'restarts') or '0'}

-- reap.lua - what nobody collected goes when its time is over, and what was collected is forgotten
--
-- ARGV: now, or 0; how long a result is kept; how long an id is remembered, and how many; how many
-- to look at; all times in ns.  Answers 1 if there is more to do, and in how many ns something is due (-1: nothing is there).
local now = clock(ARGV[1])
local ttl, keep, many, max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
counts_read(call('HMGET', M, unpack(COUNTS)))

local looked, due = 0, nil
local function wait(at)
        due = due and math.min(due, at) or at
        return false
end
expire(now, max, function(time)
        if now - time < ttl then
                return wait(time + ttl)
        end
        looked = looked + 1
        return true
end)
-- All of one hash go in one call.
local gone = {}
walk('t:', 'thead', 'tat', 'ttail', max, function(id, time)
        if now - time < keep and c.tombs <= many then
                return wait(time + keep)
        end
        local rkey = records_of(id)
        local ids = gone[rkey]
        if not ids then
                ids = {}
                gone[rkey] = ids
        end
        ids[#ids + 1] = id
        c.tombs, looked = c.tombs - 1, looked + 1
        return true
end)
counts_write({})
for rkey, ids in pairs(gone) do
        for i = 1, #ids, 1000 do
                call('HDEL', rkey, unpack(ids, i, math.min(i + 999, #ids)))
        end
end
return {looked >= max and 1 or 0, due and num(math.max(due - now, 0)) or '-1'}

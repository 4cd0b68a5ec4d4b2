-- reap.lua - what nobody collected goes when its time is over, and what was collected is forgotten
--
-- ARGV: now, or 0; how long a result is kept; how long an id is remembered, and how many; how many
-- to look at; all times in ns.  Answers 1 if there is more to do, and in how many ns something is due
-- (-1: nothing is there).
local now = clock(ARGV[1])
local ttl, keep, many, max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
call('HLEN', LIVE) -- the type of what is written without being read first shows here
counts_read(COUNTS, call('HMGET', M, unpack(COUNTS)))
local walk, records_of = odd().walk, odd().records_of

local due
local function wait(at)
        due = due and math.min(due, at) or at
        return false
end
local more = odd().expire(now, max, function(time)
        return now - time >= ttl or wait(time + ttl)
end)
-- All of one hash go in one call.
local gone = {}
more = walk('t:', 'thead', 'tat', 'ttail', max, function(id, time)
        if now - time < keep and c.tombs <= many then
                return wait(time + keep)
        end
        local rkey = records_of(id)
        gone[rkey] = gone[rkey] or {}
        table.insert(gone[rkey], id)
        c.tombs = c.tombs - 1
        return true
end) or more
counts_write({})
for rkey, ids in pairs(gone) do
        for i = 1, #ids, 1000 do
                local some, tombs = {unpack(ids, i, math.min(i + 999, #ids))}, {}
                for k, v in ipairs(call('HMGET', rkey, unpack(some))) do
                        -- Anything else is younger than this entry of the log, or this is none.
                        if v == TOMB then
                                tombs[#tombs + 1] = some[k]
                        end
                end
                if #tombs > 0 then
                        call('HDEL', rkey, unpack(tombs))
                end
        end
end
return {more and 1 or 0, due and num(math.max(due - now, 0)) or '-1'}

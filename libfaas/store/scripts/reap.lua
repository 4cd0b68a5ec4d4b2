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

-- The ids that go, by the hash that has them: all of one go in one call.
local gone = {}
local lists = {} -- the same by the first six bytes of an id: its ms
local function goes(id)
        local ms = sub(id, 1, 6)
        local ids = lists[ms]
        if not ids then
                local rkey = records_of(id)
                ids = gone[rkey] or {n = 0}
                gone[rkey], lists[ms] = ids, ids
        end
        local n = ids.n + 1
        ids[n], ids.n = id, n
end

-- Under load it is whole blocks of the log that go, because too many ids are remembered: then the times
-- need not be looked at.  Or the youngest of a block is old enough.
local BLOCK = 256
local function block()
        local from = c.tat * 24
        local part = call('GETRANGE', base .. 't:' .. num(c.thead), num(from), num(from + BLOCK * 24 - 1))
        if #part < BLOCK * 24 then
                return false
        elseif c.tombs - BLOCK < many then
                local time = struct.unpack('>d', part, #part - 7)
                if not (time > 0 and now - time >= keep) then
                        return false
                end
        end
        for place = 1, #part, 24 do
                goes(sub(part, place, place + 15))
        end
        c.tat, c.tombs = c.tat + BLOCK, c.tombs - BLOCK
        return true
end

while max >= BLOCK and block() do
        max = max - BLOCK
end
more = walk('t:', 'thead', 'tat', 'ttail', max, function(id, time)
        if now - time < keep and c.tombs <= many then
                return wait(time + keep)
        end
        goes(id)
        c.tombs = c.tombs - 1
        return true
end) or more
counts_write({})
for rkey, ids in pairs(gone) do
        for first = 1, ids.n, 1000 do
                local last, tombs = math.min(first + 999, ids.n), {}
                local got = call('HMGET', rkey, unpack(ids, first, last))
                for i = first, last do
                        -- Anything else is younger than this entry of the log, or this is none.
                        if got[i - first + 1] == TOMB then
                                tombs[#tombs + 1] = ids[i]
                        end
                end
                if #tombs > 0 then
                        call('HDEL', rkey, unpack(tombs))
                end
        end
end
return {more and 1 or 0, due and num(math.max(due - now, 0)) or '-1'}

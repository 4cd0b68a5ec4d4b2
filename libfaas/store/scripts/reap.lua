-- reap.lua - what nobody collected goes when its time is over, and what was collected is forgotten
--
-- ARGV: now, or 0; how long a result is kept; how long an id is remembered, and how many; how many
-- to look at; all times in ns.  Answers 1 if there is more to do, and in how many ns something is due
-- (-1: nothing is there).
local now = clock(ARGV[1])
local ttl, keep, many, max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
call('HLEN', LIVE) -- the type of what is written without being read first shows here
counts_read(COUNTS, call('HMGET', M, unpack(COUNTS)))
local walk = odd().walk
local IDS = 8192 -- are forgotten at a time, some more or less

local due
local function wait(at)
        due = due and math.min(due, at) or at
        return false
end
local more = odd().expire(now, max, function(time)
        return now - time >= ttl or wait(time + ttl)
end)

-- What is due to be forgotten, by the hash that has it.
local gone = {}
local ids = 0
more = walk('t:', 'thead', 'tat', 'ttail', max, function(entry, time)
        if ids >= IDS then
                more = true
                return false
        elseif now - time < keep and c.tombs <= many then
                return wait(time + keep)
        end
        local bucket, n = struct.unpack('>dd', entry)
        if bucket >= 0 and bucket < 1e15 and n > 0 and n < 1e9 then -- else somebody else wrote it
                local rkey = base .. 'r:' .. num(bucket)
                gone[rkey] = (gone[rkey] or 0) + n
                ids, c.tombs = ids + n, math.max(c.tombs - n, 0)
        end
        return true
end) or more
counts_write({})

-- Of a hash that has tasks or results too, those go that were collected.  To find them all are looked at.
local function forget(rkey)
        local keys, tombs = call('HKEYS', rkey), {}
        for i = 1, #keys do
                if #keys[i] == 16 and call('HSTRLEN', rkey, keys[i]) == 1 then
                        tombs[#tombs + 1] = keys[i]
                end
        end
        for first = 1, #tombs, 1000 do
                call('HDEL', rkey, unpack(tombs, first, math.min(first + 999, #tombs)))
        end
        call('HSET', rkey, 'd', 0)
end

for rkey, n in pairs(gone) do
        local there = redis_pcall('HMGET', rkey, 't', 'd') -- nothing if somebody deleted it
        if there[1] then
                local left = math.max((number(there[1]) or 0) - n, 0)
                local done = (number(there[2] or 0) or 0) + n
                local len = call('HLEN', rkey) - (there[2] and 2 or 1)
                if left == 0 and done == len then
                        call('UNLINK', rkey)
                else
                        call('HSET', rkey, 't', num(left), 'd', num(done))
                        -- A few may stay: it costs more to find them than to keep them.
                        if left == 0 and done * 8 >= len then
                                forget(rkey)
                        end
                end
        end
end
return {more and 1 or 0, due and num(math.max(due - now, 0)) or '-1'}

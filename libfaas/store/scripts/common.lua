-- common.lua - what both scripts share: names, numbers, the logs of results and of collected ids
--
-- A script runs alone and as a whole.  Whatever it deletes it deletes at its end (drop): the first
-- write of all is one that Redis refuses without memory, and then nothing has been written.
--
-- KEYS[1] is {prefix}:meta; all other keys have the same hash tag.  docs/STORE.md has the layout.
local call, sub, byte, concat = redis.call, string.sub, string.byte, table.concat
local AGAIN, GONE, STALE, NOENT, EXISTS, LIMIT, UNAVAILABLE, FENCED = 1, 2, 3, 4, 5, 6, 10, 14
local M = KEYS[1]
local base = sub(M, 1, -5)
local LIVE = base .. 'live'
local RECORD = 100   -- what a record costs besides its bytes, for budgets
local LOG = 4096     -- entries of a part of a log
local TOMB = '\255'  -- the record of a task that was collected, or has expired

local function num(x)
        return string.format('%.0f', x)
end

-- Doubles: exact to 256 ns until the year 2242.
local function clock(given)
        if given ~= '0' then
                return tonumber(given)
        end
        local t = call('TIME')
        return t[1] * 1e9 + t[2] * 1e3
end

local drops = {}
local function drop(key)
        drops[#drops + 1] = key
end

local bad = 0 -- records that make no sense

-- Open: 0.  Final: 2, 3, 4.  Collected: 255.  Nothing else is a record of ours; it is set aside.
local function state_of(v, rkey, id)
        local s = byte(v, 1)
        if s == 255 or ((s == 0 or s == 2 or s == 3 or s == 4) and #v >= 50) then
                return s
        end
        call('HSET', base .. 'bad', id, v)
        call('HDEL', rkey, id)
        bad = bad + 1
        return nil
end

-- The hash that has a task's record: one for each 4,096 ms of its id's time.
local bucket, bucket_key
local function records_of(id)
        local a, b = struct.unpack('>I4I2', id)
        local k = math.floor((a * 65536 + b) / 4096)
        if k ~= bucket then
                bucket, bucket_key = k, base .. 'r:' .. num(k)
        end
        return bucket_key
end

-- The counters of the whole, read at once and written at once.
local COUNTS = {'open', 'obytes', 'final', 'fbytes', 'xhead', 'xat', 'xtail', 'xn', 'thead', 'tat',
                'ttail', 'tn', 'tombs'}
local N_COUNTS = #COUNTS
local c = {open = 0, obytes = 0, final = 0, fbytes = 0, xhead = 0, xat = 0, xtail = 0, xn = 0, thead = 0,
           tat = 0, ttail = 0, tn = 0, tombs = 0}
local was = {}

-- So many fewer are alive in a part of a log or journal; an empty one goes, unless it is the last,
-- which is still written: nil stands for that of the results.
local function unlive(kind, part, n, last)
        if call('HINCRBY', LIVE, kind .. part, -n) <= 0 and part ~= (last or num(c.xtail)) then
                drop(base .. kind .. part)
                call('HDEL', LIVE, kind .. part)
        end
end

-- Begins another part of a log when the last one is full.
local function rotate(kind, tail, n)
        if c[n] < LOG then
                return
        end
        local part = num(c[tail])
        if kind == 'x:' and tonumber(call('HGET', LIVE, 'x:' .. part) or 0) <= 0 then
                drop(base .. 'x:' .. part)
                call('HDEL', LIVE, 'x:' .. part)
        end
        c[tail], c[n] = c[tail] + 1, 0
end

-- Those of a list's ids as entries of a log: each with the time.
local function entries(ids, first, last, time)
        local stamp = struct.pack('>d', time)
        return concat(ids, stamp, first, last) .. stamp
end

local function log_collected(text, count)
        rotate('t:', 'ttail', 'tn')
        call('APPEND', base .. 't:' .. num(c.ttail), text)
        c.tn, c.tombs = c.tn + count, c.tombs + count
end

-- Walks a log from its oldest entry: each(id, time) says whether it is done with; if not, it ends.
local function walk(kind, head, at, tail, max, each)
        while max > 0 do
                local key = base .. kind .. num(c[head])
                local part = call('GETRANGE', key, c[at] * 24, (c[at] + math.min(max, 256)) * 24 - 1)
                local n = math.floor(#part / 24)
                if n == 0 then
                        if c[head] >= c[tail] then
                                return
                        end
                        if kind == 't:' then
                                drop(key)
                        end
                        c[head], c[at] = c[head] + 1, 0
                end
                for i = 0, n - 1 do
                        local id = sub(part, i * 24 + 1, i * 24 + 16)
                        if not each(id, struct.unpack('>d', sub(part, i * 24 + 17, i * 24 + 24))) then
                                return
                        end
                        c[at], max = c[at] + 1, max - 1
                end
        end
end

-- Results go, oldest first, while more(time) says so; their ids are remembered as collected ones.
local function expire(now, max, more)
        local gone = {}
        walk('x:', 'xhead', 'xat', 'xtail', max, function(id, time)
                if not more(time) then
                        return false
                end
                local rkey = records_of(id)
                local v = call('HGET', rkey, id)
                local s = v and state_of(v, rkey, id)
                if s and s ~= 0 and s ~= 255 then
                        call('HSET', rkey, id, TOMB)
                        c.final, c.fbytes = c.final - 1, c.fbytes - #v - RECORD
                        unlive('x:', num(struct.unpack('>I4', sub(v, 10, 13))), 1)
                        gone[#gone + 1] = id
                end
                return true
        end)
        if #gone > 0 then
                log_collected(entries(gone, 1, #gone, now), #gone)
        end
end

local function counts_read(m)
        for i = 1, N_COUNTS do
                local v = tonumber(m[i] or 0)
                was[i], c[COUNTS[i]] = v, v
        end
end

local function counts_write(fields)
        for i = 1, N_COUNTS do
                local v = c[COUNTS[i]]
                if v ~= was[i] then
                        fields[#fields + 1] = COUNTS[i]
                        fields[#fields + 1] = num(v)
                end
        end
        if #fields > 0 then
                call('HSET', M, unpack(fields))
        end
        if bad > 0 then
                call('HINCRBY', M, 'bad', bad)
        end
        if #drops > 0 then
                call('UNLINK', unpack(drops))
        end
end

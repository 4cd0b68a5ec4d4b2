-- common.lua - what all scripts share: names, numbers, the logs of results and of collected ids
--
-- A script runs alone, and as a whole unless it meets an error.  Whatever it deletes it deletes at its
-- end (drop): the first write of all is one that Redis refuses without memory, and then nothing has
-- been written.  A key that may be of a wrong type is looked at before anything is written on its
-- behalf.
--
-- A function is made anew each time that a script runs, and binds what it uses of what is outside of
-- it, which costs more than to call it.  So what most runs don't need is made by odd(), for those that
-- do; and what they all need is as few functions as can be.
--
-- KEYS[1] is {prefix}:meta; all other keys have the same hash tag.  docs/STORE.md has the layout.
local type, redis_pcall, sub, byte, concat = type, redis.pcall, string.sub, string.byte, table.concat
local format, pack, unpack = string.format, struct.pack, unpack
local AGAIN, GONE, STALE, NOENT, EXISTS, LIMIT, UNAVAILABLE, FENCED = 1, 2, 3, 4, 5, 6, 10, 14
local M = KEYS[1]
local base = sub(M, 1, -5)
local LIVE = base .. 'live'
local RECORD = 100   -- what a record costs besides its bytes, for budgets
local LOG = 4096     -- entries of a part of a log
local CHUNK = 524288 -- bytes of records that are read at once
local TOMB = '\255'  -- the record of a task that was collected, or has expired

-- As redis.call(), but an error names the key.
local function call(command, key, ...)
        local r = redis_pcall(command, key, ...)
        if type(r) == 'table' and r.err then
                local text = r.err .. ' (' .. command .. ' ' .. (key or '') .. ')'
                -- Before Redis 7 an error is text, wrapped by more of it.
                error(redis.REDIS_VERSION_NUM and {err = text} or ': -' .. text, 0)
        end
        return r
end

local function num(x)
        return format('%.0f', x)
end

-- A number that may be damaged; nil if it is.
local function number(text)
        local n = tonumber(text)
        return n and n > -9e15 and n < 9e15 and n or nil
end

-- Doubles: exact to 256 ns until the year 2242.
local function clock(given)
        if given ~= '0' then
                return tonumber(given)
        end
        local t = redis.call('TIME')
        return t[1] * 1e9 + t[2] * 1e3
end

-- The counters of the whole, read at once and written at once: those of every day, and the rest, which
-- odd() reads.
local COUNTS = {'open', 'obytes', 'final', 'fbytes', 'xhead', 'xtail', 'xn', 'ttail', 'tn', 'tombs', 'other'}
local c = {open = 0, obytes = 0, final = 0, fbytes = 0, xhead = 0, xtail = 0, xn = 0, ttail = 0, tn = 0, tombs = 0, other = 0}
local was = {}

local damaged -- fields of meta that are no numbers, and what they were instead
local drops   -- keys that go at the end
local odd, odd_made

-- So many fewer are alive in a part of a log or journal; an empty one goes, unless it is the last,
-- which is still written: nil stands for that of the results.  Their records say so already.
local function unlive(kind, part, n, last)
        local left = call('HINCRBY', LIVE, kind .. part, -n)
        if left < 0 or (left == 0 and part ~= (last or num(c.xtail))) then
                odd().emptied(kind, part, left, last)
        end
end

-- Those of a list's ids as entries of a log: each with the time.
local function entries(ids, first, last, time)
        local stamp = pack('>d', time)
        return concat(ids, stamp, first, last) .. stamp
end

-- Adds to a log or journal, whose entries are so long; answers how many it has.  If somebody else
-- wrote there, ours begin again where an entry begins.
local function append(key, text, width)
        local len = call('APPEND', key, text)
        if len % width ~= 0 then
                len = call('APPEND', key, string.rep('\0', width - len % width) .. text)
        end
        return len / width
end

-- So many of a hash of records were collected now.  The hash itself counts those that are still to be
-- remembered.
local function log_collected(bucket, count, time)
        if c.tn >= LOG then
                odd().rotate('t:', 'ttail', 'tn')
        end
        c.tn = append(base .. 't:' .. num(c.ttail), pack('>ddd', bucket, count, time), 24)
        c.tombs = c.tombs + count
        call('HINCRBY', base .. 'r:' .. num(bucket), 't', count)
end

-- Those of these counters, as HMGET answers them.
local function counts_read(names, m)
        for i = 1, #names do
                local v = number(m[i] or 0)
                if not v then
                        damaged = damaged or {}
                        damaged[#damaged + 1] = {names[i], m[i]}
                end
                was[names[i]], c[names[i]] = v, v or 0
        end
        if damaged then
                odd()
        end
end

-- Writes the counters that changed, and some more fields; then what was dropped goes.
local function counts_write(fields)
        if damaged then
                odd().tell_damaged()
        end
        local n = #fields
        for name, v in pairs(c) do
                if v ~= was[name] then
                        fields[n + 1], fields[n + 2], n = name, num(v), n + 2
                end
        end
        if n > 0 then
                call('HSET', M, unpack(fields))
        end
        if drops then
                for i = 1, #drops, 1000 do
                        call('UNLINK', unpack(drops, i, math.min(i + 999, #drops)))
                end
        end
end

-- The functions that most runs don't need.
function odd()
        if odd_made then
                return odd_made
        end
        local r = {}
        odd_made = r

        function r.zeros(n)
                local list = {}
                for i = 1, n do
                        list[i] = 0
                end
                return list
        end

        -- The records of n ids from ids[first] on, so many at a time that an answer is about a CHUNK: Redis
        -- copies it anew with each MiB that it grows.
        function r.records(rkey, ids, first, n)
                local got, done, step = {}, 0, 1
                while done < n do
                        local bytes = 0
                        step = math.min(step, n - done)
                        local some = call('HMGET', rkey, unpack(ids, first + done, first + done + step - 1))
                        for i = 1, step do
                                got[done + i] = some[i]
                                bytes = bytes + #(some[i] or '')
                        end
                        done = done + step
                        step = math.max(1, math.min(2 * step, math.floor(step * CHUNK / (bytes + 1))))
                end
                return got
        end

        -- The ids among pairs of an id and a record.
        function r.firsts(args, n)
                local ids = {}
                for i = 1, n do
                        ids[i] = args[2 * i - 1]
                end
                return ids
        end

        -- Numbers of epochs and partitions are text: Lua's own are exact to 53 bits only.
        function r.younger(a, b)
                if #a ~= #b then
                        return #a > #b
                end
                return a > b
        end

        function r.drop(key)
                drops = drops or {}
                drops[#drops + 1] = key
        end

        function r.damage(field, text)
                damaged = damaged or {}
                damaged[#damaged + 1] = {field, text}
        end

        function r.set_aside(id, v)
                call('HSET', base .. 'bad', id, v)
                c.bad = c.bad + 1
        end

        function r.tell_damaged()
                for i = 1, #damaged do
                        r.set_aside('meta:' .. damaged[i][1], damaged[i][2])
                end
        end

        -- Open: 0.  Final: 2, 3, 4.  Collected: 255.  Nothing else is a record of ours; it is set aside.
        function r.state_of(v, rkey, id)
                local s = byte(v, 1)
                if s == 255 or ((s == 0 or s == 2 or s == 3 or s == 4) and #v >= 50) then
                        return s
                end
                r.set_aside(id, v)
                call('HDEL', rkey, id)
                return nil
        end

        -- The hash that has a task's record: one for each 64 ms of its id's time.
        local bucket, bucket_key
        function r.records_of(id)
                local a, b = struct.unpack('>I4I2', id)
                local k = math.floor((a * 65536 + b) / 64)
                if k ~= bucket then
                        bucket, bucket_key = k, base .. 'r:' .. num(k)
                end
                return bucket_key
        end

        -- How many of a part of a log or journal are alive: counted again, for somebody deleted the number.
        function r.count_again(kind, part)
                local width, open = sub(kind, 1, 1) == 'x' and 24 or 16, sub(kind, 1, 1) == 'j'
                local text, seen, n = call('GET', base .. kind .. part) or '', {}, 0
                local place = pack('>I4', tonumber(part))
                for i = 1, #text - width + 1, width do
                        local id = sub(text, i, i + 15)
                        local v = not seen[id] and call('HGET', r.records_of(id), id)
                        if v and #v >= 50 and sub(v, 10, 13) == place and (byte(v, 1) == 0) == open then
                                seen[id], n = true, n + 1
                        end
                end
                return n
        end

        -- A part has nothing alive, or its number is wrong.
        function r.emptied(kind, part, left, last)
                if left < 0 then
                        left = r.count_again(kind, part)
                        call('HSET', LIVE, kind .. part, left)
                end
                if left <= 0 and part ~= (last or num(c.xtail)) then
                        r.drop(base .. kind .. part)
                        call('HDEL', LIVE, kind .. part)
                end
        end

        -- One that is written on no more: it may be empty by now.
        function r.left_behind(kind, part)
                -- If its number of the living is gone, that says nothing.
                local left = call('HGET', LIVE, kind .. part)
                if left and (number(left) or 1) <= 0 then
                        r.drop(base .. kind .. part)
                        call('HDEL', LIVE, kind .. part)
                end
        end

        -- Begins another part of a log: the last one is full.
        function r.rotate(kind, tail, n)
                if kind == 'x:' then
                        r.left_behind(kind, num(c[tail]))
                end
                c[tail], c[n] = c[tail] + 1, 0
        end

        -- The first part from this one on that has anything alive, and the last one.
        function r.live_parts(kind, from)
                local fields, first, last = call('HKEYS', LIVE), nil, 0
                for i = 1, #fields do
                        local part = sub(fields[i], 1, #kind) == kind and number(sub(fields[i], #kind + 1))
                        if part then
                                first = part >= from and math.min(first or part, part) or first
                                last = math.max(last, part)
                        end
                end
                return first, last
        end

        -- For its number is damaged.
        function r.last_live(kind)
                local _, last = r.live_parts(kind, 0)
                return last
        end

        -- Walks a log from its oldest entry: each(entry, time) says whether it is done with; if not, it ends.
        -- Looks at max of them, and answers whether there may be more.  What has no possible time is no entry.
        function r.walk(kind, head, at, tail, max, each)
                local missing = 0
                while max > 0 do
                        local key = base .. kind .. num(c[head])
                        local part = call('GETRANGE', key, num(c[at] * 24), num((c[at] + math.min(max, 256)) * 24 - 1))
                        local n = math.floor(#part / 24)
                        if n == 0 then
                                if c[head] >= c[tail] then
                                        return false
                                end
                                if kind == 't:' then
                                        r.drop(key)
                                end
                                c[head], c[at], max, missing = c[head] + 1, 0, max - 1, missing + 1
                                if missing > 1000 then -- or the number of the last one is wrong
                                        c[head] = math.min(r.live_parts(kind, c[head]) or c[tail], c[tail])
                                end
                        end
                        for i = 0, n - 1 do
                                local id = sub(part, i * 24 + 1, i * 24 + 16)
                                local time = struct.unpack('>d', sub(part, i * 24 + 17, i * 24 + 24))
                                if time > 0 and time < 9.3e18 and not each(id, time) then
                                        return false
                                end
                                c[at], max = c[at] + 1, max - 1
                        end
                end
                return true
        end

        -- Results go, oldest first, while more(time) says so; their ids are remembered as collected ones.
        function r.expire(now, max, more)
                local gone = {} -- how many of each hash
                local rest = r.walk('x:', 'xhead', 'xat', 'xtail', max, function(id, time)
                        if not more(time) then
                                return false
                        end
                        local rkey = r.records_of(id)
                        local v = call('HGET', rkey, id)
                        local s = v and r.state_of(v, rkey, id)
                        if s and s ~= 0 and s ~= 255 then
                                call('HSET', rkey, id, TOMB)
                                c.final, c.fbytes = c.final - 1, c.fbytes - #v - RECORD
                                unlive('x:', num(struct.unpack('>I4', sub(v, 10, 13))), 1)
                                gone[bucket] = (gone[bucket] or 0) + 1
                        end
                        return true
                end)
                for b, n in pairs(gone) do
                        log_collected(b, n, now)
                end
                return rest
        end

        local others = {'xat', 'thead', 'tat', 'bad'}
        counts_read(others, call('HMGET', M, unpack(others)))
        if damaged then
                c.xtail, c.ttail = math.max(c.xtail, c.xhead, r.last_live('x:')), math.max(c.ttail, c.thead)
        end
        if c.xhead > c.xtail then
                c.xhead, c.xat = 0, 0
        end
        if c.thead > c.ttail then
                c.thead, c.tat = 0, 0
        end
        return r
end

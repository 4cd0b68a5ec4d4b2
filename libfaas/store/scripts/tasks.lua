-- tasks.lua - what a group does with tasks
--
-- Of each run the first write is one that may fail: to a key that was not looked at yet.

-- The next n arguments.
local function take(n)
        at = at + n
        return unpack(ARGV, at - n, at - 1)
end

-- What is stored of the next n arguments, which are ids, and where they begin; extra ones follow
-- each in a place of its own.
local function look(rkey, n, extra)
        local first = at
        at = at + n + (extra or 0)
        return call('HMGET', rkey, unpack(ARGV, first, first + n - 1)), first
end

local function zeros(n)
        local r = {}
        for i = 1, n do
                r[i] = 0
        end
        return r
end

-- A part of a journal, as it stands in records and in names of keys.
local function journal(P, part)
        return 'j:' .. P .. ':', num(struct.unpack('>I4', part))
end

-- Another part of the journal begins: the one before may be empty by now.
local function journal_next(P, kind, name)
        local before = last_part[P]
        call('GETRANGE', base .. kind .. name, 0, 0)
        call('HSET', M, 's:' .. P, name)
        last_part[P] = name
        local left = call('HGET', LIVE, kind .. before)
        if left and (number(left) or 1) <= 0 then
                drop(base .. kind .. before)
                call('HDEL', LIVE, kind .. before)
        end
end

local function journal_add(P, part, ids)
        local kind, name = journal(P, part)
        if name ~= last_part[P] and younger(name, last_part[P]) then
                journal_next(P, kind, name)
        end
        append(base .. kind .. name, concat(ids), 16)
        call('HINCRBY', LIVE, kind .. name, #ids)
end

-- So many tasks are open no more of parts, which stand at the end of these keys.
local function journal_remove(P, counts)
        for place, n in pairs(counts) do
                local kind, name = journal(P, sub(place, -4))
                unlive(kind, name, n, P == E and last_part[P] or '') -- others' are not written on
        end
end

local now_ns
local function now()
        now_ns = now_ns or clock(ARGV[3])
        return now_ns
end

-- Those tasks of a list end: their results get a place in the log, before they are written.
local function ending(ids, first, last)
        c.xn = append(base .. 'x:' .. num(c.xtail), entries(ids, first, last, now()), 24)
end

-- So many tasks have ended: their results are as long as this.
local function ended(n, bytes)
        call('HINCRBY', LIVE, 'x:' .. num(c.xtail), n)
        c.open, c.final, c.fbytes = c.open - n, c.final + n, c.fbytes + bytes
        if c.fbytes > max_results then
                expire(now(), 65536, function()
                        return c.fbytes > max_results and c.final > 1
                end)
        end
end

local run = {}

-- The ids among pairs of an id and a record.
local function firsts(args, n)
        local ids = {}
        for i = 1, n do
                ids[i] = args[2 * i - 1]
        end
        return ids
end

-- A: P, hash, part of the journal, bytes, n; id, record.
function run.A()
        local P, bucket, part, bytes, n = take(5)
        local rkey, first, ids = base .. 'r:' .. bucket, at, {}
        n, bytes = tonumber(n), tonumber(bytes)
        for i = 1, n do
                ids[i] = ARGV[first + 2 * i - 2]
        end
        at = at + 2 * n
        local got, fits = call('HMGET', rkey, unpack(ids)), not rep and not REFUSE
        for i = 1, n do
                if got[i] then
                        fits = false
                end
        end
        bytes = bytes + n * RECORD
        if fits and c.open + n <= max_tasks and c.obytes + bytes <= max_bytes then
                journal_add(P, part, ids)
                call('HSET', rkey, unpack(ARGV, first, at - 1))
                c.open, c.obytes = c.open + n, c.obytes + bytes
                return 0
        end
        local r, args, kept, open, obytes = {}, {}, {}, c.open, c.obytes
        for i = 1, n do
                local v, cur = ARGV[first + 2 * i - 1], got[i]
                local s = cur and state_of(cur, rkey, ids[i])
                if s == 255 then
                        r[i] = GONE
                elseif s and rep and s == 0 and sub(cur, 2, 9) == sub(v, 2, 9) and
                        sub(cur, 19, 26) == sub(v, 19, 26) then
                        r[i] = 0 -- what it wrote itself
                elseif s then
                        r[i] = cur
                elseif rep or REFUSE or open >= max_tasks or obytes + #v + RECORD > max_bytes then
                        r[i] = LIMIT
                else
                        r[i] = 0
                        args[#args + 1] = ids[i]
                        args[#args + 1] = v
                        kept[#kept + 1] = ids[i]
                        open, obytes = open + 1, obytes + #v + RECORD
                end
        end
        if #args > 0 then
                journal_add(P, part, kept)
                call('HSET', rkey, unpack(args))
                c.open, c.obytes = open, obytes
        end
        return r
end

-- What a FINISH is told that found no open task of its partition, or may have run before.
local function not_finished(cur, s, status, bin, result)
        if not s then
                return NOENT
        elseif s == 255 then
                return GONE
        elseif s ~= 0 and rep and string.char(s) == status and sub(cur, 2, 9) == bin and
                sub(cur, 43, 54) == sub(result, 5, 16) then
                return 0 -- what it wrote itself
        elseif s == 0 and rep and sub(cur, 2, 9) == bin then
                return NOENT -- so it was then: the record was accepted later
        end
        return cur
end

-- F: P, the same in binary, hash, status, n; ids; results.
function run.F()
        local P, bin, bucket, status, n = take(5)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local got, first = look(rkey, n, n)
        rotate('x:', 'xtail', 'xn')
        local head, mine = status .. bin .. struct.pack('>I4', c.xtail), '\0' .. bin
        local args, k, counts, r = {unpack(ARGV, first, at - 1)}, 0, {}, nil
        local before, after = 0, 0
        for i = 1, n do
                local cur, id, result = got[i], ARGV[first + i - 1], ARGV[first + n + i - 1]
                local place = cur and sub(cur, 1, 13)
                local known = place and counts[place]
                if place and not known and not rep and sub(place, 1, 9) == mine then
                        known = 0
                end
                if known and #cur >= 50 then
                        local v = head .. sub(cur, 14, 38) .. result
                        counts[place] = known + 1
                        args[k + 1], args[k + 2], k = id, v, k + 2
                        before, after = before + #cur, after + #v
                else
                        r = r or zeros(n)
                        r[i] = not_finished(cur, cur and state_of(cur, rkey, id), status, bin, result)
                end
        end
        if k > 0 then
                local ids, from, count = ARGV, first, k / 2
                if r then
                        ids, from = firsts(args, count), 1
                end
                ending(ids, from, from + count - 1)
                call('HSET', rkey, unpack(args, 1, k))
                c.obytes = c.obytes - before - count * RECORD
                journal_remove(P, counts)
                ended(count, after + count * RECORD)
        end
        return r or 0
end

-- G: hash, n; id.  Its submitter has the result.
function run.G()
        local bucket, n = take(2)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local got, first = look(rkey, n)
        local args, k, counts, bytes, r = {}, 0, {}, 0, nil
        for i = 1, n do
                local cur, id = got[i], ARGV[first + i - 1]
                local place = cur and #cur >= 50 and sub(cur, 1, 13)
                local known = place and counts[place]
                if cur and not known then
                        local s = state_of(cur, rkey, id)
                        known = s and s ~= 0 and s ~= 255 and 0
                end
                if known then
                        counts[place] = known + 1
                        args[k + 1], args[k + 2], k = id, TOMB, k + 2
                        bytes = bytes + #cur
                else
                        r = r or zeros(n)
                        r[i] = NOENT
                end
        end
        if k > 0 then
                local ids, from, count = ARGV, first, k / 2
                if r then
                        ids, from = firsts(args, count), 1
                end
                log_collected(entries(ids, from, from + count - 1, now()), count)
                call('HSET', rkey, unpack(args))
                c.final, c.fbytes = c.final - count, c.fbytes - bytes - count * RECORD
                for place, x in pairs(counts) do
                        unlive('x:', num(struct.unpack('>I4', sub(place, -4))), x)
                end
        end
        return r or 0
end

-- R: hash, n; id.  Reads records.
function run.R()
        local bucket, n = take(2)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local got, first = look(rkey, n)
        local r = {}
        for i = 1, n do
                local s = got[i] and state_of(got[i], rkey, ARGV[first + i - 1])
                r[i] = not s and NOENT or s == 255 and GONE or got[i]
        end
        return r
end

-- H: P in binary, hash, n; id.  Was handed out.
function run.H()
        local bin, bucket, n = take(3)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local got, first = look(rkey, n)
        local mine, args = '\0' .. bin, {}
        for i = 1, n do
                local cur = got[i]
                if cur and sub(cur, 1, 9) == mine and #cur >= 50 and byte(cur, 14) == 0 then
                        args[#args + 1] = ARGV[first + i - 1]
                        args[#args + 1] = sub(cur, 1, 13) .. '\1' .. sub(cur, 15)
                end
        end
        if #args > 0 then
                call('HSET', rkey, unpack(args))
        end
        return 0
end

-- Q: P in binary, hash, id, retries, strike's fence, strikes.
function run.Q()
        local bin, bucket, id, retries, fence, strikes = take(6)
        local rkey = base .. 'r:' .. bucket
        local cur = not rep and call('HGET', rkey, id)
        local s = cur and state_of(cur, rkey, id)
        if rep then
                return 0
        elseif not s or s == 255 or sub(cur, 2, 9) ~= bin then
                return {NOENT}
        elseif s ~= 0 then
                return {EXISTS}
        end
        call('HSET', rkey, id, sub(cur, 1, 14) .. retries .. sub(cur, 19, 26) .. fence .. strikes .. sub(cur, 43))
        return 0
end

-- S: P, the same in binary, hash, id, the record as if it were open, status, the result or "".
function run.S()
        local P, bin, bucket, id, open, status, result = take(7)
        local rkey = base .. 'r:' .. bucket
        local cur = call('HGET', rkey, id)
        local s = cur and state_of(cur, rkey, id)
        local final = status ~= '\0'
        if s and s ~= 255 and (s ~= 0 or sub(cur, 2, 9) ~= bin) then
                return {cur}
        elseif rep then
                return 0
        elseif s == 255 then
                return {GONE}
        end
        local part = s and sub(cur, 10, 13) or
                struct.pack('>I4', tonumber(last_part[P]))
        -- What was submitted stays as it is.
        if s then
                open = sub(cur, 1, 14) .. sub(open, 15, 18) .. sub(cur, 19, 26) .. sub(open, 27, 42) .. sub(cur, 43)
        end
        if final then
                rotate('x:', 'xtail', 'xn')
                local fence = s and sub(cur, 27, 38) or string.rep('\0', 12)
                local v = status .. bin .. struct.pack('>I4', c.xtail) .. sub(open, 14, 26) .. fence .. result
                ending({id}, 1, 1)
                call('HSET', rkey, id, v)
                if s then
                        c.obytes = c.obytes - #cur - RECORD
                        journal_remove(P, {[part] = 1})
                else
                        c.open = c.open + 1
                end
                ended(1, #v + RECORD)
        else
                local v = sub(open, 1, 9) .. part .. sub(open, 14)
                if not s then
                        journal_add(P, part, {id})
                        c.open = c.open + 1
                end
                call('HSET', rkey, id, v)
                c.obytes = c.obytes + #v - (s and #cur or -RECORD)
        end
        return 0
end

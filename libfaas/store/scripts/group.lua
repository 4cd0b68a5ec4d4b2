-- group.lua - runs one group of operations, as model/op.h has it, or refuses it
--
-- ARGV: epoch, number in its sequence, now or 0, flags, the five limits, how many partitions it
-- touches and their numbers; then its operations: a letter and what belongs to it.  Operations of
-- one kind, of one partition and one hash of records come together, as a run, in which no id comes
-- twice.  Answers {what the group is told, answer of run 1, answer of run 2 ...}; the answer of a
-- run is 0 if that is the answer of each of its operations, or a list; a string in it is a record.
--
-- A record: state 1, partition 8, part of the journal or of the log of results 4, hinted 1,
-- retries 4, hash of what was submitted 8, strike's generation 4 and number 8, strikes 4; then the
-- task or its result, which are C's.  Numbers are big-endian.
local function group() -- what is local until here is bound once for all functions in it

local E, seq = ARGV[1], tonumber(ARGV[2])
local flags = tonumber(ARGV[4])
local GUARDED, ORDINARY, REFUSE, RARE = flags % 2 == 1, flags % 4 >= 2, flags % 8 >= 4, flags >= 8
local max_tasks, max_bytes, max_results = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local n_parts = tonumber(ARGV[10])
local at = 11 + n_parts -- the next argument

local lease, m = 'l:' .. E .. ':', nil
do
        local want, n = {unpack(COUNTS)}, #COUNTS + 4
        want[n - 3], want[n - 2], want[n - 1], want[n] = 'restarts', 'pending', lease .. 's', lease .. 'b'
        for i = 11, at - 1 do
                want[n + 1], want[n + 2], n = 'p:' .. ARGV[i], 's:' .. ARGV[i], n + 2
        end
        m = call('HMGET', M, unpack(want))
end
call('HLEN', LIVE) -- the type of what is written without being read first shows here
counts_read(COUNTS, m)
local set = {} -- fields of meta to be written at the end, and their values
local function put(field, value)
        set[#set + 1] = field
        set[#set + 1] = value
end

local REST = #COUNTS
local last_part = {} -- of each partition's journal, that is still written
for i = 1, n_parts do
        local P, name = ARGV[10 + i], m[REST + 4 + 2 * i] or '0'
        if not number(name) then
                odd().damage('s:' .. P, name)
                name = num(odd().last_live('j:' .. P .. ':'))
                put('s:' .. P, name)
        end
        last_part[P] = name
end
local restarts, pending, last_seq, rebound = number(m[REST + 1] or 0), m[REST + 2] == '1', m[REST + 3], m[REST + 4]
if not restarts then
        return {UNAVAILABLE} -- hello mends it
end

local now_ns
local function now()
        now_ns = now_ns or clock(ARGV[3])
        return now_ns
end

local run = {} -- the operations
local unrestored -- must ordinary groups wait for an owner that has still to write its state again?
local rep = false -- it ran before

-- ---- runs: of each the first write is one that may fail, to a key that was not looked at yet ----

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
        if n > 16 then
                local ends = call('HMGET', rkey, ARGV[first], ARGV[first + n - 1])
                local long = #(ends[1] or '') + #(ends[2] or '')
                if long * n > 2 * CHUNK then
                        return odd().records(rkey, ARGV, first, n), first
                end
        end
        return call('HMGET', rkey, unpack(ARGV, first, first + n - 1)), first
end

-- A part of a journal, as it stands in records and in names of keys.
local function journal(P, part)
        return 'j:' .. P .. ':', num(struct.unpack('>I4', part))
end

-- Tasks are added to a journal.  Another part begins: the one before may be empty by now.
local function journal_add(P, part, ids)
        local kind, name = journal(P, part)
        local before = last_part[P]
        if name ~= before and odd().younger(name, before) then
                call('GETRANGE', base .. kind .. name, 0, 0)
                call('HSET', M, 's:' .. P, name)
                last_part[P] = name
                odd().left_behind(kind, before)
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

-- Those tasks of a list end: their results get their place in the log, before they are written.
local function ending(ids, first, last)
        c.xn = append(base .. 'x:' .. num(c.xtail), entries(ids, first, last, now()), 24)
end

-- So many tasks have ended: their results are as long as this.
local function ended(n, bytes)
        call('HINCRBY', LIVE, 'x:' .. num(c.xtail), n)
        c.open, c.final, c.fbytes = c.open - n, c.final + n, c.fbytes + bytes
        if c.fbytes > max_results then
                odd().expire(now(), 65536, function()
                        return c.fbytes > max_results and c.final > 1
                end)
        end
end

-- What runs operations of a letter.
local operation
function operation(letter)
        if letter == 'A' then
                -- A: P, hash, part of the journal, bytes, n; id, record.
                return function()
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
                                local s = cur and odd().state_of(cur, rkey, ids[i])
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
        elseif letter == 'F' then
                -- F: P, the same in binary, hash, status, n; ids; results.
                return function()
                        local P, bin, bucket, status, n = take(5)
                        local rkey = base .. 'r:' .. bucket
                        n = tonumber(n)
                        local got, first = look(rkey, n, n)
                        if c.xn >= LOG then
                                odd().rotate('x:', 'xtail', 'xn')
                        end
                        local head, mine = status .. bin .. pack('>I4', c.xtail), '\0' .. bin
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
                                        -- It found no open task of its partition, or may have run before.
                                        local s = cur and odd().state_of(cur, rkey, id)
                                        r = r or odd().zeros(n)
                                        if not s then
                                                r[i] = NOENT
                                        elseif s == 255 then
                                                r[i] = GONE
                                        elseif s ~= 0 and rep and string.char(s) == status and sub(cur, 2, 9) == bin and
                                                sub(cur, 43, 54) == sub(result, 5, 16) then
                                                r[i] = 0 -- what it wrote itself
                                        elseif s == 0 and rep and sub(cur, 2, 9) == bin then
                                                r[i] = NOENT -- so it was then: the record was accepted later
                                        else
                                                r[i] = cur
                                        end
                                end
                        end
                        if k > 0 then
                                local ids, from, count = ARGV, first, k / 2
                                if r then -- not all of them
                                        ids, from = odd().firsts(args, count), 1
                                end
                                ending(ids, from, from + count - 1)
                                call('HSET', rkey, unpack(args, 1, k))
                                c.obytes = c.obytes - before - count * RECORD
                                journal_remove(P, counts)
                                ended(count, after + count * RECORD)
                        end
                        return r or 0
                end
        elseif letter == 'K' then
                -- K: P, hash, part of the journal, part of the log of results, bytes before and after, n; id,
                -- record as it will be.  They are open, their owner knows, and come for the first time: nothing
                -- is read.  But the part of the log may be another one.
                return function()
                        local P, bucket, part, place, before, after, n = take(7)
                        if rep then
                                error(': -ERR a result comes again that is not looked at', 0)
                        end
                        local rkey, first, ids = base .. 'r:' .. bucket, at, {}
                        n, at = tonumber(n), at + 2 * n
                        for i = 1, n do
                                ids[i] = ARGV[first + 2 * i - 2]
                        end
                        call('HLEN', rkey)
                        if c.xn >= LOG then
                                odd().rotate('x:', 'xtail', 'xn')
                        end
                        local here = pack('>I4', c.xtail)
                        if place ~= here then
                                for i = first + 1, at, 2 do
                                        ARGV[i] = sub(ARGV[i], 1, 9) .. here .. sub(ARGV[i], 14)
                                end
                        end
                        ending(ids, 1, n)
                        call('HSET', rkey, unpack(ARGV, first, at - 1))
                        c.obytes = c.obytes - tonumber(before) - n * RECORD
                        journal_remove(P, {[part] = n})
                        ended(n, tonumber(after) + n * RECORD)
                        return num(c.xtail)
                end
        elseif letter == 'G' then
                -- G: own partition in binary, hash, n; id.  Its submitter has the result.
                return function()
                        local own, bucket, n = take(3)
                        local rkey = base .. 'r:' .. bucket
                        n = tonumber(n)
                        local got, first = look(rkey, n)
                        local args, k, counts, bytes, r = {}, 0, {}, 0, nil
                        for i = 1, n do
                                local cur, id = got[i], ARGV[first + i - 1]
                                local place = cur and #cur >= 50 and sub(cur, 1, 13)
                                local known = place and counts[place]
                                if place and not known then
                                        local s = byte(place)
                                        known = s >= 2 and s <= 4 and 0
                                        if known and sub(place, 2, 9) ~= own then
                                                c.other = now() / 1e9
                                        end
                                end
                                if known then
                                        counts[place] = known + 1
                                        args[k + 1], args[k + 2], k = id, TOMB, k + 2
                                        bytes = bytes + #cur
                                else
                                        if cur then
                                                odd().state_of(cur, rkey, id) -- or it is set aside
                                        end
                                        r = r or odd().zeros(n)
                                        r[i] = NOENT
                                end
                        end
                        if k > 0 then
                                local count = k / 2
                                log_collected(tonumber(bucket), count, now())
                                call('HSET', rkey, unpack(args))
                                c.final, c.fbytes = c.final - count, c.fbytes - bytes - count * RECORD
                                for place, x in pairs(counts) do
                                        unlive('x:', num(struct.unpack('>I4', sub(place, -4))), x)
                                end
                        end
                        return r or 0
                end
        elseif letter == 'C' then
                -- C: own partition in binary, hash, part of the log of results, bytes of the records, n; id,
                -- TOMB.  As G, but they stand there, their owner knows: nothing is read, unless results may have
                -- expired in that part, or somebody else has collected some of late.
                return function()
                        local own, bucket, part, bytes, n = take(5)
                        local first = at
                        n, at, part = tonumber(n), at + 2 * n, struct.unpack('>I4', part)
                        if rep or part <= c.xhead or now() / 1e9 - c.other < 600 then
                                for i = n, 1, -1 do
                                        ARGV[first + n + i - 1] = ARGV[first + 2 * i - 2]
                                end
                                at = at - n - 3
                                ARGV[at], ARGV[at + 1], ARGV[at + 2] = own, bucket, num(n)
                                return operation('G')()
                        end
                        local rkey = base .. 'r:' .. bucket
                        call('HLEN', rkey)
                        log_collected(tonumber(bucket), n, now())
                        call('HSET', rkey, unpack(ARGV, first, at - 1))
                        c.final, c.fbytes = c.final - n, c.fbytes - bytes - n * RECORD
                        unlive('x:', num(part), n)
                        return 0
                end
        elseif letter == 'R' then
                -- R: hash, n; id.  Reads records.
                return function()
                        local bucket, n = take(2)
                        local rkey = base .. 'r:' .. bucket
                        n = tonumber(n)
                        local got, first = look(rkey, n)
                        local r = {}
                        for i = 1, n do
                                local s = got[i] and odd().state_of(got[i], rkey, ARGV[first + i - 1])
                                r[i] = not s and NOENT or s == 255 and GONE or got[i]
                        end
                        return r
                end
        elseif letter == 'H' then
                -- H: P in binary, hash, n; id.  Was handed out.
                return function()
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
        end
end

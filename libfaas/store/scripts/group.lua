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
local E, seq = ARGV[1], tonumber(ARGV[2])
local flags = tonumber(ARGV[4])
local GUARDED, ORDINARY, REFUSE = flags % 2 == 1, flags % 4 >= 2, flags >= 4
local max_tasks, max_bytes, max_results = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local lease_ticks, tick_ns = tonumber(ARGV[8]), tonumber(ARGV[9])
local n_parts = tonumber(ARGV[10])
local at = 11 + n_parts -- the next argument

local want = {unpack(COUNTS)}
local REST = #want
for _, f in ipairs({'restarts', 'pending', 'tick', 'l:' .. E .. ':s', 'l:' .. E .. ':b', 'l:' .. E .. ':r'}) do
        want[#want + 1] = f
end
for i = 1, n_parts do
        want[#want + 1] = 'p:' .. ARGV[10 + i]
        want[#want + 1] = 's:' .. ARGV[10 + i]
end
local m = call('HMGET', M, unpack(want))
counts_read(m)
local last_part = {} -- of each partition's journal, that is still written
for i = 1, n_parts do
        last_part[ARGV[10 + i]] = m[REST + 6 + 2 * i] or '0'
end
local restarts, pending, tick = tonumber(m[REST + 1] or 0), m[REST + 2] == '1', tonumber(m[REST + 3] or 0)
local last_seq, rebound, restored = m[REST + 4], m[REST + 5], m[REST + 6]
local set = {} -- fields of meta to be written at the end, and their values
local function put(field, value)
        set[#set + 1] = field
        set[#set + 1] = value
end

-- ---- leases and partitions, all of them: for what is rare ----

local leases, parts
local function read_all()
        leases, parts = {}, {}
        local all = call('HGETALL', M)
        for i = 1, #all, 2 do
                local e, f = string.match(all[i], '^l:(%d+):(%a)$')
                local p = string.match(all[i], '^p:(%d+)$')
                if e then
                        leases[e] = leases[e] or {}
                        leases[e][f] = all[i + 1]
                elseif p then
                        local o, g = string.match(all[i + 1], '^(%d+) (%d+)$')
                        parts[p] = {o = o, g = tonumber(g)}
                end
        end
end

local function expired(l)
        return tick - tonumber(l.t) >= lease_ticks
end

local function write_lease(e, l)
        leases[e] = l
        for f, v in pairs(l) do
                call('HSET', M, 'l:' .. e .. ':' .. f, v)
        end
end

local function drop_lease(e)
        leases[e] = nil
        for _, f in ipairs({'t', 's', 'b', 'r', 'n', 'e'}) do
                call('HDEL', M, 'l:' .. e .. ':' .. f)
        end
end

local function write_part(p, o, g)
        parts[p] = {o = o, g = g}
        call('HSET', M, 'p:' .. p, o .. ' ' .. num(g))
end

-- Numbers of epochs and partitions are text: Lua's own are exact to 53 bits only.
local function younger(a, b)
        if #a ~= #b then
                return #a > #b
        end
        return a > b
end

local function next_epoch(e)
        local head, last, nines = string.match(e, '^(%d-)([0-8]?)(9*)$')
        return head .. (last == '' and '1' or string.char(byte(last) + 1)) .. string.rep('0', #nines)
end

-- The older epochs of this name are fenced, and what they own is e's.
local function fence_older(name, e)
        for x, l in pairs(leases) do
                if l.n == name and younger(e, x) then
                        for p, part in pairs(parts) do
                                if part.o == x then
                                        write_part(p, e, part.g + 1)
                                end
                        end
                        drop_lease(x)
                end
        end
end

-- {partition, owner, generation ...}: those of one owner, or all.
local function tell_parts(e)
        local t = {}
        for p, part in pairs(parts) do
                if not e or part.o == e then
                        t[#t + 1] = p
                        t[#t + 1] = part.o
                        t[#t + 1] = num(part.g)
                end
        end
        return t
end

-- ---- the guard ----

-- Must ordinary groups wait for an owner that has still to write its state again?
local function unrestored()
        read_all()
        local wait, all = false, true
        for _, l in pairs(leases) do
                if tonumber(l.r) ~= restarts then
                        all = false
                        wait = wait or not expired(l)
                end
        end
        if all then
                put('pending', '0')
        end
        return wait
end

local rep = false -- it ran before
local function guard()
        if not GUARDED then
                return 0
        end
        if not last_seq then
                return FENCED
        end
        local mine = E .. ' '
        for i = 1, n_parts do
                local p = m[REST + 5 + 2 * i]
                if not p or sub(p, 1, #mine) ~= mine then
                        return FENCED
                end
        end
        if seq == 0 then
                rep = tonumber(restored) == restarts
                return 0
        end
        if tonumber(rebound) ~= restarts then
                return UNAVAILABLE
        end
        if pending and ORDINARY and unrestored() then
                return AGAIN
        end
        if seq > tonumber(last_seq) + 1 then
                return UNAVAILABLE
        end
        rep = seq <= tonumber(last_seq)
        if not rep then
                put('l:' .. E .. ':s', ARGV[2])
        end
        return 0
end

local refused = guard()
if refused ~= 0 then
        return {refused}
end

-- ---- runs ----

-- The next n arguments.
local function take(n)
        at = at + n
        return unpack(ARGV, at - n, at - 1)
end

-- The ids of a run of n operations with so many arguments each, and what is stored of them.
local function look(rkey, n, width)
        local ids = {}
        for i = 1, n do
                ids[i] = ARGV[at + (i - 1) * width]
        end
        return ids, call('HMGET', rkey, unpack(ids))
end

-- A part of a journal, as it stands in records and in names of keys.
local function journal(P, part)
        return 'j:' .. P .. ':', num(struct.unpack('>I4', part))
end

-- Another part of the journal begins: the one before may be empty by now.
local function journal_next(P, kind, name)
        local before = last_part[P]
        call('HSET', M, 's:' .. P, name)
        last_part[P] = name
        if tonumber(call('HGET', LIVE, kind .. before) or 0) <= 0 then
                drop(base .. kind .. before)
                call('HDEL', LIVE, kind .. before)
        end
end

local function journal_add(P, part, ids)
        local kind, name = journal(P, part)
        if name ~= last_part[P] and younger(name, last_part[P]) then
                journal_next(P, kind, name)
        end
        call('APPEND', base .. kind .. name, concat(ids))
        call('HINCRBY', LIVE, kind .. name, #ids)
end

-- So many tasks of these parts are open no more.
local function journal_remove(P, counts)
        for part, n in pairs(counts) do
                local kind, name = journal(P, part)
                unlive(kind, name, n, function()
                        return P == E and last_part[P] or '' -- others' journals are not written on
                end)
        end
end

local now_ns
local function now()
        now_ns = now_ns or clock(ARGV[3])
        return now_ns
end

-- Those tasks have ended: their results are as long as this.
local function ended(ids, bytes)
        local stamp, entries = struct.pack('>d', now()), {}
        for i = 1, #ids do
                entries[2 * i - 1] = ids[i]
                entries[2 * i] = stamp
        end
        log('x:', 'xtail', 'xn', entries, #ids)
        call('HINCRBY', LIVE, 'x:' .. num(c.xtail), #ids)
        c.open, c.final, c.fbytes = c.open - #ids, c.final + #ids, c.fbytes + bytes
        if c.fbytes > max_results then
                expire(now(), 1e9, function()
                        return c.fbytes > max_results and c.final > 1
                end)
        end
end

local run = {}

-- A: P, hash, part of the journal, n; id, record.
function run.A()
        local P, bucket, part, n = take(4)
        local rkey, first = base .. 'r:' .. bucket, at
        n = tonumber(n)
        local ids, got = look(rkey, n, 2)
        at = at + 2 * n
        local bytes, fits = 0, not rep and not REFUSE and c.open + n <= max_tasks
        for i = 1, n do
                fits = fits and not got[i]
                bytes = bytes + #ARGV[first + 2 * i - 1] + RECORD
        end
        if fits and c.obytes + bytes <= max_bytes then
                call('HSET', rkey, unpack(ARGV, first, at - 1))
                journal_add(P, part, ids)
                c.open, c.obytes = c.open + n, c.obytes + bytes
                return 0
        end
        local r, args, kept = {}, {}, {}
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
                elseif rep or REFUSE or c.open >= max_tasks or c.obytes + #v + RECORD > max_bytes then
                        r[i] = LIMIT
                else
                        r[i] = 0
                        args[#args + 1] = ids[i]
                        args[#args + 1] = v
                        kept[#kept + 1] = ids[i]
                        c.open, c.obytes = c.open + 1, c.obytes + #v + RECORD
                end
        end
        if #args > 0 then
                call('HSET', rkey, unpack(args))
                journal_add(P, part, kept)
        end
        return r
end

-- F: P, the same in binary, hash, status, n; id, the result.
function run.F()
        local P, bin, bucket, status, n = take(5)
        local rkey, first = base .. 'r:' .. bucket, at
        n = tonumber(n)
        local ids, got = look(rkey, n, 2)
        at = at + 2 * n
        rotate('x:', 'xtail', 'xn')
        local head, mine = status .. bin .. struct.pack('>I4', c.xtail), '\0' .. bin
        local r, args, kept, counts, bytes, all = {}, {}, {}, {}, 0, true
        for i = 1, n do
                local cur, result = got[i], ARGV[first + 2 * i - 1]
                if cur and not rep and sub(cur, 1, 9) == mine and #cur >= 50 then
                        local v, part = head .. sub(cur, 14, 38) .. result, sub(cur, 10, 13)
                        args[#args + 1] = ids[i]
                        args[#args + 1] = v
                        kept[#kept + 1] = ids[i]
                        counts[part] = (counts[part] or 0) + 1
                        c.obytes, bytes = c.obytes - #cur - RECORD, bytes + #v + RECORD
                        r[i] = 0
                else
                        local s = cur and state_of(cur, rkey, ids[i])
                        all = false
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
        if #args > 0 then
                call('HSET', rkey, unpack(args))
                journal_remove(P, counts)
                ended(kept, bytes)
        end
        return all and 0 or r
end

-- G: hash, n; id.  Its submitter has the result.
function run.G()
        local bucket, n = take(2)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local ids, got = look(rkey, n, 1)
        at = at + n
        local stamp = struct.pack('>d', now())
        local r, args, entries, counts, all = {}, {}, {}, {}, true
        for i = 1, n do
                local cur = got[i]
                local s = cur and state_of(cur, rkey, ids[i])
                if s and s ~= 0 and s ~= 255 then
                        local part = sub(cur, 10, 13)
                        args[#args + 1] = ids[i]
                        args[#args + 1] = TOMB
                        entries[#entries + 1] = ids[i]
                        entries[#entries + 1] = stamp
                        counts[part] = (counts[part] or 0) + 1
                        c.fbytes = c.fbytes - #cur - RECORD
                        r[i] = 0
                else
                        all, r[i] = false, NOENT
                end
        end
        if #args > 0 then
                call('HSET', rkey, unpack(args))
                c.final = c.final - #args / 2
                log_collected(entries, #args / 2)
                for part, k in pairs(counts) do
                        unlive('x:', num(struct.unpack('>I4', part)), k, last_x)
                end
        end
        return all and 0 or r
end

-- R: hash, n; id.  Reads records.
function run.R()
        local bucket, n = take(2)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local ids, got = look(rkey, n, 1)
        at = at + n
        local r = {}
        for i = 1, n do
                local s = got[i] and state_of(got[i], rkey, ids[i])
                r[i] = not s and NOENT or s == 255 and GONE or got[i]
        end
        return r
end

-- H: P in binary, hash, n; id.  Was handed out.
function run.H()
        local bin, bucket, n = take(3)
        local rkey = base .. 'r:' .. bucket
        n = tonumber(n)
        local ids, got = look(rkey, n, 1)
        at = at + n
        local mine, args = '\0' .. bin, {}
        for i = 1, n do
                local cur = got[i]
                if cur and sub(cur, 1, 9) == mine and #cur >= 50 and byte(cur, 14) == 0 then
                        args[#args + 1] = ids[i]
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
                call('HSET', rkey, id, v)
                if s then
                        c.obytes = c.obytes - #cur - RECORD
                        journal_remove(P, {[part] = 1})
                else
                        c.open = c.open + 1
                end
                ended({id}, #v + RECORD)
        else
                local v = sub(open, 1, 9) .. part .. sub(open, 14)
                call('HSET', rkey, id, v)
                if not s then
                        journal_add(P, part, {id})
                        c.open = c.open + 1
                end
                c.obytes = c.obytes + #v - (s and #cur or -RECORD)
        end
        return 0
end

-- The records of these ids, in their order.
local function records(ids)
        local by, got = {}, {}
        for i = 1, #ids do
                local rkey = records_of(ids[i])
                by[rkey] = by[rkey] or {}
                table.insert(by[rkey], i)
        end
        for rkey, places in pairs(by) do
                local some = {}
                for k = 1, #places do
                        some[k] = ids[places[k]]
                end
                local v = call('HMGET', rkey, unpack(some))
                for k = 1, #places do
                        local s = v[k] and state_of(v[k], rkey, some[k])
                        got[places[k]] = s == 0 and v[k]
                end
        end
        return got
end

-- L: P, the same in binary, cursor, how many at most.  Answers the next cursor (-1: that is all),
-- and id, record ...  A cursor counts entries: 1 + 1,048,576 x part + entries of the part.
function run.L()
        local P, bin, cursor, max = take(4)
        local pos, mine, looked, out = math.max(tonumber(cursor) - 1, 0), '\0' .. bin, 0, {'-1'}
        local last, part = tonumber(last_part[P]), math.floor(pos / 1048576)
        local i = pos - part * 1048576
        local first = tonumber(call('HGET', M, 'f:' .. P) or 0)
        if part < first then
                part, i = first, 0
        end
        max = tonumber(max)
        while part <= last do
                local e = call('GETRANGE', base .. 'j:' .. P .. ':' .. num(part), i * 16, i * 16 + 4095)
                local ids, here = {}, mine .. struct.pack('>I4', part)
                for k = 1, #e / 16 do
                        ids[k] = sub(e, k * 16 - 15, k * 16)
                end
                local got = #ids > 0 and records(ids) or {}
                for k = 1, #ids do
                        if got[k] and sub(got[k], 1, 13) == here then
                                if (#out - 1) / 2 >= max then
                                        out[1] = num(part * 1048576 + i + k)
                                        return out
                                end
                                out[#out + 1] = ids[k]
                                out[#out + 1] = got[k]
                        end
                end
                i, looked = i + #ids, looked + #ids
                if #ids < 256 then
                        if part == first and part < last and not redis.call('HGET', LIVE, 'j:' .. P .. ':' .. num(part)) then
                                first = part + 1
                                put('f:' .. P, num(first))
                        end
                        part, i, looked = part + 1, 0, looked + 1
                end
                if looked >= 4096 and part <= last then
                        out[1] = num(part * 1048576 + i + 1)
                        return out
                end
        end
        if P ~= E and tonumber(call('HGET', LIVE, 'j:' .. P .. ':' .. num(last)) or 0) <= 0 then
                drop(base .. 'j:' .. P .. ':' .. num(last))
                call('HDEL', LIVE, 'j:' .. P .. ':' .. num(last))
        end
        return out
end

-- T: name, endpoint, what it was before.  START.
function run.T()
        local name, endpoint, was = take(3)
        read_all()
        if was ~= '0' then
                for x, l in pairs(leases) do
                        if l.n == name and younger(x, was) and not expired(l) then
                                return {EXISTS}
                        end
                end
        end
        local e, us = next_epoch(call('HGET', M, 'epoch') or '0'), num(math.floor(now() / 1000))
        if younger(us, e) then
                e = us
        end
        write_lease(e, {t = num(tick), s = '0', b = num(restarts), r = num(restarts), n = name, e = endpoint})
        write_part(e, e, 1)
        put('epoch', e)
        fence_older(name, e)
        return {0, e, num(tick), tell_parts(e)}
end

-- B: is it FA_REBIND_DONE, name, endpoint, my last answered group, n; partition, generation.  REBIND.
function run.B()
        local done, name, endpoint, cursor, n = take(5)
        read_all()
        local l, own = leases[E], {}
        for i = 1, tonumber(n) do
                local p, g = take(2)
                own[i] = {p, tonumber(g)}
        end
        if done == '1' then
                if not l then
                        return FENCED
                elseif tonumber(l.b) == restarts then
                        write_lease(E, {t = l.t, s = l.s, b = l.b, r = num(restarts), n = l.n, e = l.e})
                end
                return 0
        end
        if not l and #own == 0 then
                return FENCED
        end
        for _, o in ipairs(own) do
                local p = parts[o[1]]
                if p and p.o ~= E and (younger(p.o, E) or p.g > o[2]) then
                        return FENCED
                end
        end
        for _, o in ipairs(own) do
                local p = parts[o[1]]
                write_part(o[1], E, math.max(p and p.g or 0, o[2]))
        end
        local before = l and l.s or '0'
        local new = {t = num(tick), s = before, b = num(restarts), r = l and l.r or '',
                     n = l and l.n or name, e = l and l.e or endpoint}
        if not l or tonumber(l.b) ~= restarts then
                new.s, new.r = cursor, num(restarts - 1)
                put('pending', '1')
        end
        write_lease(E, new)
        fence_older(new.n, E)
        local epoch = call('HGET', M, 'epoch') or '0'
        if younger(E, epoch) then
                put('epoch', E)
        end
        return {0, num(tick), before, tell_parts(E)}
end

-- K.  TICK: one tick at most, however long the gap.
function run.K()
        read_all()
        local since = tonumber(call('HGET', M, 'tickat') or 0)
        if now() - since >= tick_ns then
                tick = tick + 1
                put('tick', num(tick))
                put('tickat', num(now()))
        end
        if call('HGET', M, 'renew') == '1' then
                local owners = {[E] = true}
                for _, part in pairs(parts) do
                        owners[part.o] = true
                end
                for x, l in pairs(leases) do
                        if owners[x] then
                                l.t = num(tick)
                                call('HSET', M, 'l:' .. x .. ':t', l.t)
                        else
                                drop_lease(x)
                        end
                end
                put('renew', '0')
        end
        leases[E].t = num(tick)
        call('HSET', M, 'l:' .. E .. ':t', leases[E].t)
        local t = {}
        for x, l in pairs(leases) do
                t[#t + 1] = x
                t[#t + 1] = l.t
                t[#t + 1] = l.e
        end
        return {0, num(tick), t, tell_parts(nil)}
end

-- V: partition, whom I believe to own it.  TAKE.
function run.V()
        local p, owner = take(2)
        read_all()
        local part = parts[p]
        if not part or (part.o ~= owner and part.o ~= E) or
                (part.o ~= E and leases[part.o] and not expired(leases[part.o])) then
                return {STALE}
        end
        if part.o ~= E then
                write_part(p, E, part.g + 1)
        end
        return {0, num(parts[p].g)}
end

-- X: partition.  DROP.
function run.X()
        local p = take(1)
        local own, last = unpack(call('HMGET', M, 'p:' .. p, 's:' .. p))
        if not own then
                return {0}
        elseif p == E or string.match(own, '^(%d+) ') ~= E then
                return {STALE}
        end
        local first, keys = tonumber(call('HGET', M, 'f:' .. p) or 0), {}
        for part = first, math.min(tonumber(last or 0), first + 1000) do
                if tonumber(call('HGET', LIVE, 'j:' .. p .. ':' .. num(part)) or 0) > 0 then
                        return {STALE}
                end
                keys[#keys + 1] = 'j:' .. p .. ':' .. num(part)
        end
        if tonumber(last or 0) > first + 1000 then
                return {STALE} -- a LOAD moves the first one on
        end
        call('HSET', M, 'v', call('HGET', M, 'v')) -- what Redis refuses without memory
        for _, key in ipairs(keys) do
                drop(base .. key)
                call('HDEL', LIVE, key)
        end
        call('HDEL', M, 'p:' .. p, 's:' .. p, 'f:' .. p)
        return {0}
end

local answer = {0}
while at <= #ARGV do
        at = at + 1
        local r = run[ARGV[at - 1]]()
        answer[#answer + 1] = r
        if r == FENCED then
                answer[1] = FENCED
                break
        end
end
counts_write(set)
return answer

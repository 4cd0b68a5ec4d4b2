-- guard.lua - the head of a group of operations: what is known of its epoch, and whether it may run
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
local GUARDED, ORDINARY, REFUSE, RARE = flags % 2 == 1, flags % 4 >= 2, flags % 8 >= 4, flags >= 8
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
local set = {} -- fields of meta to be written at the end, and their values
local function put(field, value)
        set[#set + 1] = field
        set[#set + 1] = value
end

local last_part = {} -- of each partition's journal, that is still written
for i = 1, n_parts do
        local P, name = ARGV[10 + i], m[REST + 6 + 2 * i] or '0'
        if not number(name) then
                damaged[#damaged + 1] = {'s:' .. P, name}
                name = num(last_live('j:' .. P .. ':'))
                put('s:' .. P, name)
        end
        last_part[P] = name
end
local restarts, pending, tick = number(m[REST + 1] or 0), m[REST + 2] == '1', number(m[REST + 3] or 0)
local last_seq, rebound, restored = m[REST + 4], m[REST + 5], m[REST + 6]
if not restarts then
        return {UNAVAILABLE} -- hello mends it
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
                        -- What cannot be read is nobody's, of a generation that is surely new.
                        parts[p] = {o = o or '0', g = tonumber(g or 1000000)}
                end
        end
        if not tick then
                damaged[#damaged + 1] = {'tick', m[REST + 3]}
                tick = 0
                for _, l in pairs(leases) do
                        tick = math.max(tick, number(l.t) or 0)
                end
                put('tick', num(tick))
        end
end
if not tick then
        read_all()
end

local function expired(l)
        return tick - (number(l.t) or 0) >= lease_ticks
end

local function write_lease(e, l)
        leases[e] = l
        for f, v in pairs(l) do
                call('HSET', M, 'l:' .. e .. ':' .. f, v)
        end
end

local function drop_lease(e)
        leases[e] = nil
        for _, f in ipairs({'t', 's', 'b', 'r', 'n', 'e', 'i'}) do
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
        if not last_seq or not number(last_seq) then
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

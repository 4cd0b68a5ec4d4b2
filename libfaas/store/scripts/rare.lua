-- rare.lua - the rest of group.lua: what is not of every day
--
-- It stands behind group.lua and before run.lua, and sees what is local there.

-- A function is made anew each time that the script runs, so these are made only for who needs one.
if RARE or pending then
        local younger, state_of, rotate = odd().younger, odd().state_of, odd().rotate
        local drop, records_of, last_live, count_again = odd().drop, odd().records_of, odd().last_live, odd().count_again
        local lease_ticks, tick_ns = tonumber(ARGV[8]), tonumber(ARGV[9])

        -- ---- leases and partitions, all of them: for what is rare ----

        local leases, parts, tick
        local function read_all()
                leases, parts = {}, {}
                local all, told = call('HGETALL', M), 0
                for i = 1, #all, 2 do
                        local e, f = string.match(all[i], '^l:(%d+):(%a)$')
                        local p = string.match(all[i], '^p:(%d+)$')
                        if all[i] == 'tick' then
                                told = all[i + 1]
                        elseif e then
                                leases[e] = leases[e] or {}
                                leases[e][f] = all[i + 1]
                        elseif p then
                                local o, g = string.match(all[i + 1], '^(%d+) (%d+)$')
                                -- What cannot be read is nobody's, of a generation that is surely new.
                                parts[p] = {o = o or '0', g = tonumber(g or 1000000)}
                        end
                end
                tick = tick or number(told)
                if not tick then
                        odd().damage('tick', told)
                        tick = 0
                        for _, l in pairs(leases) do
                                tick = math.max(tick, number(l.t) or 0)
                        end
                        put('tick', num(tick))
                end
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

        -- Must ordinary groups wait for an owner that has still to write its state again?
        function unrestored()
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
                        if c.xn >= LOG then
                                rotate('x:', 'xtail', 'xn')
                        end
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

        -- Adds those of these ids whose records are open and begin so, each with its record: as many as there
        -- is room for.  Answers how many ids were looked at, and how many bytes there are.
        local function add_open(out, ids, here, max, bytes)
                local from = 1
                while from <= #ids do
                        local rkey, to = records_of(ids[from]), from
                        while to < #ids and records_of(ids[to + 1]) == rkey do
                                to = to + 1
                        end
                        local got = odd().records(rkey, ids, from, to - from + 1)
                        for i = from, to do
                                local v = got[i - from + 1]
                                local s = v and state_of(v, rkey, ids[i])
                                if s == 0 and sub(v, 1, 13) == here then
                                        if (#out - 1) / 2 >= max or bytes >= 1048576 then
                                                return i - 1, bytes
                                        end
                                        out[#out + 1] = ids[i]
                                        out[#out + 1] = v
                                        bytes = bytes + #v
                                end
                        end
                        from = to + 1
                end
                return #ids, bytes
        end

        -- L: P, the same in binary, part and entry where to begin, how many at most.  Answers where the next
        -- begins, "part entry" (-1: that is all), and id, record ...  Some MiB of them are enough.
        function run.L()
                local P, bin, part, i, max = take(5)
                local mine, looked, bytes, out = '\0' .. bin, 0, 0, {'-1'}
                local last = tonumber(last_part[P])
                local first = number(call('HGET', M, 'f:' .. P) or 0) or 0
                part, i, max = tonumber(part), tonumber(i), tonumber(max)
                if part < first then
                        part, i = first, 0
                end
                while part <= last do
                        -- The first few tell how long records are.
                        local step = looked == 0 and 8 or math.max(1, math.min(256, math.floor(1048576 / (bytes / looked + 1))))
                        local e = call('GETRANGE', base .. 'j:' .. P .. ':' .. num(part), num(i * 16), num((i + step) * 16 - 1))
                        local ids, n = {}, math.floor(#e / 16)
                        for k = 1, n do
                                ids[k] = sub(e, k * 16 - 15, k * 16)
                        end
                        local done
                        done, bytes = add_open(out, ids, mine .. struct.pack('>I4', part), max, bytes)
                        i, looked = i + done, looked + done
                        if done == n and n < step then
                                if part == first and part < last and i == 0 then
                                        first = part + 1
                                        put('f:' .. P, num(first))
                                end
                                part, i, looked = part + 1, 0, looked + 1
                        end
                        if done < n or (looked >= 4096 and part <= last) then
                                out[1] = num(part) .. ' ' .. num(i)
                                return out
                        end
                end
                local left = P ~= E and call('HGET', LIVE, 'j:' .. P .. ':' .. num(last))
                if left and (number(left) or 1) <= 0 then
                        drop(base .. 'j:' .. P .. ':' .. num(last))
                        call('HDEL', LIVE, 'j:' .. P .. ':' .. num(last))
                end
                return out
        end

        -- Somebody may have emptied Redis while we were connected: then hello did not say it.
        local function put_schema()
                if not call('HGET', M, 'v') then
                        put('v', '3')
                end
        end

        -- T: name, endpoint, what it was before, process.  START.  One that is repeated finds its own epoch.
        function run.T()
                local name, endpoint, was, process = take(4)
                read_all()
                if was ~= '0' then
                        for x, l in pairs(leases) do
                                if l.n == name and younger(x, was) and not expired(l) and
                                        (process == '0' or l.i ~= process) then
                                        return {EXISTS}
                                end
                        end
                end
                local last = call('HGET', M, 'epoch') or '0'
                if not string.match(last, '^%d+$') then
                        odd().damage('epoch', last)
                        last = '0'
                        for p in pairs(parts) do
                                last = younger(p, last) and p or last
                        end
                end
                local e, us = next_epoch(last), num(math.floor(now() / 1000))
                if younger(us, e) then
                        e = us
                end
                write_lease(e, {t = num(tick), s = '0', b = num(restarts), r = num(restarts), n = name, e = endpoint,
                        i = process})
                write_part(e, e, 1)
                put('epoch', e)
                put_schema()
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
                                write_lease(E, {t = l.t, s = l.s, b = l.b, r = num(restarts), n = l.n, e = l.e, i = l.i})
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
                             n = l and l.n or name, e = l and l.e or endpoint, i = l and l.i}
                if not l or tonumber(l.b) ~= restarts then
                        new.s, new.r = cursor, num(restarts - 1)
                        put('pending', '1')
                end
                write_lease(E, new)
                put_schema()
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
                local since = number(call('HGET', M, 'tickat') or 0) or 0
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
                        t[#t + 1] = l.t or '0'
                        t[#t + 1] = l.e or ''
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
                local first, keys = number(call('HGET', M, 'f:' .. p) or 0) or 0, {}
                last = number(last or 0) or last_live('j:' .. p .. ':')
                if last > first + 1000 then
                        return {STALE} -- a LOAD moves the first one on
                end
                for part = first, last do
                        local key = 'j:' .. p .. ':' .. num(part)
                        local left = call('HGET', LIVE, key)
                        if (left and number(left) or count_again('j:' .. p .. ':', num(part))) > 0 then
                                return {STALE}
                        end
                        keys[#keys + 1] = key
                end
                call('HSET', M, 'v', call('HGET', M, 'v') or '3') -- what Redis refuses without memory
                for _, key in ipairs(keys) do
                        drop(base .. key)
                        call('HDEL', LIVE, key)
                end
                call('HDEL', M, 'p:' .. p, 's:' .. p, 'f:' .. p)
                return {0}
        end
end

-- run.lua - the end of group.lua: the guard, then the group's operations
--
-- An error ends it.  What its runs have done until then stays, and the counters say so; but it has not
-- run as far as its sequence knows, and it comes again.

if GUARDED then
        if not last_seq or not number(last_seq) then
                return {FENCED}
        end
        local mine = E .. ' '
        for i = 1, n_parts do
                local p = m[REST + 3 + 2 * i]
                if not p or sub(p, 1, #mine) ~= mine then
                        return {FENCED}
                end
        end
        if seq == 0 then
                rep = tonumber(call('HGET', M, lease .. 'r')) == restarts
        elseif tonumber(rebound) ~= restarts then
                return {UNAVAILABLE}
        elseif pending and ORDINARY and unrestored() then
                return {AGAIN}
        elseif seq > tonumber(last_seq) + 1 then
                return {UNAVAILABLE}
        elseif seq <= tonumber(last_seq) then
                rep = true
        else
                put(lease .. 's', ARGV[2])
        end
end

local answer = {0}
while at <= #ARGV do
        local letter = ARGV[at]
        at = at + 1
        run[letter] = run[letter] or operation(letter)
        local ok, r = pcall(run[letter])
        if not ok then
                counts_write({})
                r = type(r) == 'table' and r.err or r
                return {err = string.match(r, '^%u+ ') and r or 'ERR Error running script' .. r}
        end
        answer[#answer + 1] = r
        if r == FENCED then
                answer[1] = FENCED
                break
        end
end
counts_write(set)
return answer

end
return group()

-- group.lua - runs one group of operations, as model/op.h has it, or refuses it
--
-- An error ends it.  What its runs have done until then stays, and the counters say so; but it has not
-- run as far as its sequence knows, and it comes again.
local answer = {0}
while at <= #ARGV do
        at = at + 1
        local ok, r = pcall(run[ARGV[at - 1]])
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

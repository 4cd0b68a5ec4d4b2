-- run.lua - the end of group.lua: the guard, then the group's operations

local refused = guard()
if refused ~= 0 then
        return {refused}
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

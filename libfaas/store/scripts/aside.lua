-- aside.lua - records that are ours by their head, and make no sense behind it, are set aside
--
-- ARGV: of each its id, its partition, its length and its head as they were read: by now there may be
-- another one, which makes sense.  Answers how many were set aside.
call('HLEN', LIVE)
counts_read(COUNTS, call('HMGET', M, unpack(COUNTS)))
local set_aside, state_of, records_of = odd().set_aside, odd().state_of, odd().records_of
local before = c.bad
for i = 1, #ARGV, 4 do
        local id, P, len, head = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
        local rkey = records_of(id)
        local v = call('HGET', rkey, id)
        local s = v and num(#v) == len and sub(v, 1, #head) == head and state_of(v, rkey, id)
        if s and s ~= 255 then
                local part = num(struct.unpack('>I4', sub(v, 10, 13)))
                set_aside(id, v)
                call('HDEL', rkey, id)
                if s == 0 then
                        c.open, c.obytes = c.open - 1, c.obytes - #v - RECORD
                        unlive('j:' .. P .. ':', part, 1, call('HGET', M, 's:' .. P) or '0')
                else
                        c.final, c.fbytes = c.final - 1, c.fbytes - #v - RECORD
                        unlive('x:', part, 1)
                end
        end
end
counts_write({})
return c.bad - before

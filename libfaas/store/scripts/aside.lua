-- aside.lua - records that are ours by their head, and make no sense behind it, are set aside
--
-- ARGV: their ids.
counts_read(call('HMGET', M, unpack(COUNTS)))
for i = 1, #ARGV do
        local id, rkey = ARGV[i], records_of(ARGV[i])
        local v = call('HGET', rkey, id)
        local s = v and state_of(v, rkey, id)
        if s and s ~= 255 then
                local part = num(struct.unpack('>I4', sub(v, 10, 13)))
                call('HSET', base .. 'bad', id, v)
                call('HDEL', rkey, id)
                bad = bad + 1
                if s == 0 then
                        local P = num(struct.unpack('>I8', sub(v, 2, 9)))
                        c.open, c.obytes = c.open - 1, c.obytes - #v - RECORD
                        unlive('j:' .. P .. ':', part, 1, call('HGET', M, 's:' .. P) or '0')
                else
                        c.final, c.fbytes = c.final - 1, c.fbytes - #v - RECORD
                        unlive('x:', part, 1)
                end
        end
end
counts_write({})
return bad

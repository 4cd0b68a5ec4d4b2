-- books.lua - are the books of a store in Redis right?
--
-- Written from docs/STORE.md, not from the scripts.  KEYS[1] is {prefix}:meta.  Answers what is wrong, a
-- line each.
local base = string.sub(KEYS[1], 1, -5)

local wrong = {}
local function bad(...)
        if #wrong < 20 then
                wrong[#wrong + 1] = table.concat({...}, ' ')
        end
end

local function hash(name)
        local t, all = {}, redis.call('HGETALL', base .. name)
        for i = 1, #all, 2 do
                t[all[i]] = all[i + 1]
        end
        return t
end

local function num(x)
        return string.format('%.0f', x)
end

local function hex(s)
        return (string.gsub(s, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

-- A decimal number as eight bytes.
local function be8(text)
        local b = {0, 0, 0, 0, 0, 0, 0, 0}
        for digit in string.gmatch(text, '%d') do
                local carry = tonumber(digit)
                for i = 8, 1, -1 do
                        carry = b[i] * 10 + carry
                        b[i] = carry % 256
                        carry = math.floor(carry / 256)
                end
        end
        return string.char(unpack(b))
end

local m, live, keys = hash('meta'), hash('live'), {}
local function n(field)
        return tonumber(m[field] or 0)
end
for _, key in ipairs(redis.call('KEYS', base .. '*')) do
        keys[string.sub(key, #base + 1)] = true
end

-- ---- records ----

local have = {open = 0, obytes = 0, final = 0, fbytes = 0, tombs = 0}
local journal, xlive = {}, {} -- records by the part that has them
local at = {}                 -- where each should stand
local remembered = {}         -- collected ids of each hash that are still to be remembered

local function record(id, v)
        local state = string.byte(v, 1)
        if state == 0 then
                local part = string.sub(v, 2, 13)
                have.open, have.obytes = have.open + 1, have.obytes + #v + 100
                journal[part] = (journal[part] or 0) + 1
                at[id] = 'j' .. part
        elseif state == 2 or state == 3 or state == 4 then
                local part = num(struct.unpack('>I4', string.sub(v, 10, 13)))
                have.final, have.fbytes = have.final + 1, have.fbytes + #v + 100
                xlive[part] = (xlive[part] or 0) + 1
                at[id] = 'x' .. part
        else
                bad('record', hex(id))
        end
end

for key in pairs(keys) do
        local bucket = string.match(key, '^r:(%d+)$')
        if bucket then
                local r, collected, others = hash(key), 0, 0
                remembered[bucket] = tonumber(r.t or 0)
                local counted = remembered[bucket] + tonumber(r.d or 0)
                have.tombs = have.tombs + remembered[bucket]
                r.t, r.d = nil, nil
                for id, v in pairs(r) do
                        local a, b = struct.unpack('>I4I2', id)
                        if num(math.floor((a * 65536 + b) / 64)) ~= bucket then
                                bad('bucket of', hex(id))
                        end
                        if v == '\255' then
                                collected = collected + 1
                        else
                                others = others + 1
                                record(id, v)
                        end
                end
                if collected ~= counted then
                        bad(key, 'has', collected, 'collected ids, not', counted)
                end
                if remembered[bucket] == 0 and collected > 0 and collected * 7 >= others then
                        bad(key, 'keeps', collected, 'beside', others)
                end
        end
end
for field, v in pairs(have) do
        if n(field) ~= v then
                bad(field, 'is', m[field] or 'nil', 'but', num(v), 'are there')
        end
end

-- ---- journals and logs ----

local seen = {}

local function check_journal(key, P, part)
        local ids, place = redis.call('GET', base .. key), be8(P) .. struct.pack('>I4', tonumber(part))
        local alive = journal[place] or 0
        if #ids % 16 ~= 0 then
                bad(key, 'has', #ids, 'bytes')
        end
        if tonumber(live[key] or 0) ~= alive then
                bad(key, 'live', live[key] or 'nil', 'but', alive)
        end
        if alive == 0 and part ~= (m['s:' .. P] or '0') then
                bad(key, 'is empty, and there')
        end
        if tonumber(part) < n('f:' .. P) and alive > 0 then
                bad(key, 'is before the first')
        end
        for i = 1, #ids, 16 do
                local id = string.sub(ids, i, i + 15)
                if at[id] == 'j' .. place then
                        if seen[id] then
                                bad('twice in', key)
                        end
                        seen[id] = true
                end
        end
end

local function check_log(key, log, part)
        local text, tail, head = redis.call('GET', base .. key), m[log .. 'tail'] or '0', n(log .. 'head')
        local alive = log == 'x' and (xlive[part] or 0) or 0
        if #text % 24 ~= 0 then
                bad(key, 'has', #text, 'bytes')
        end
        if part == tail and #text / 24 ~= n(log .. 'n') then
                bad(key, 'has', #text / 24, 'entries, not', n(log .. 'n'))
        end
        if log == 'x' and tonumber(live[key] or 0) ~= alive then
                bad(key, 'live', live[key] or 'nil', 'but', alive)
        end
        if part ~= tail and alive == 0 and (log == 'x' or tonumber(part) < head) then
                bad(key, 'is done, and there')
        end
        for i = 1, #text, 24 do
                local entry = string.sub(text, i, i + 15)
                if tonumber(part) > head or tonumber(part) == head and (i - 1) / 24 >= n(log .. 'at') then
                        if log == 't' then
                                local bucket, count = struct.unpack('>dd', entry)
                                bucket = num(bucket)
                                remembered[bucket] = (remembered[bucket] or 0) - count
                        elseif at[entry] == 'x' .. part then
                                seen[entry] = true
                        end
                end
        end
end

for key in pairs(keys) do
        local P, part = string.match(key, '^j:(%d+):(%d+)$')
        local log, number = string.match(key, '^([xt]):(%d+)$')
        if P then
                check_journal(key, P, part)
        elseif log then
                check_log(key, log, number)
        end
end
for bucket, left in pairs(remembered) do
        if left ~= 0 then
                bad('r:' .. bucket, 'remembers', left, 'of no entry')
        end
end
for id, place in pairs(at) do
        if not seen[id] then
                bad(hex(id), 'is not where it belongs:', string.sub(place, 1, 1))
        end
end
for key, v in pairs(live) do
        if not keys[key] then
                bad('live', key, v, 'has no key')
        end
end
if redis.call('HLEN', base .. 'bad') > n('bad') then
        bad('more set aside than counted')
end
return wrong

-- Claims a key, or says why not.
-- ARGV: token, fingerprint (version and hash), lease in ms, token of the claim to take over or ''
local head = redis.call('GETRANGE', KEYS[1], 0, 76)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local attempt = 1
-- tokens that were released: kept with the next claim, so that none of them claims the key after that one's release
local released = ''
if string.sub(head, 1, 3) == 's1f' then
  released = redis.call('GETRANGE', KEYS[1], 3, -1)
  for at = 1, #released, 16 do
    if string.sub(released, at, at + 15) == ARGV[1] then
      return redis.error_reply('RELEASED the claim was released before')
    end
  end
elseif head ~= '' then
  if #head < 77 or string.sub(head, 1, 2) ~= 's1' then
    return redis.error_reply('UNREADABLE no record that this version can read')
  end
  -- of another version: cannot be compared, counts as equal
  local fingerprint = string.sub(head, 20, 52)
  if fingerprint ~= ARGV[2] and string.byte(fingerprint) == string.byte(ARGV[2]) then
    return {'mismatch'}
  end
  local state = string.sub(head, 3, 3)
  if state == 'n' then
    return {'not retained'}
  end
  if state == 'c' then
    return {'complete', redis.call('GETRANGE', KEYS[1], 77, -1)}
  end
  local token = string.sub(head, 4, 19)
  local lapses = tonumber(string.sub(head, 63, 77))
  attempt = tonumber(string.sub(head, 53, 62))
  if token ~= ARGV[1] then
    if lapses > now then
      return {'in flight', lapses - now}
    end
    if token ~= ARGV[4] then
      return {'lapsed', token, attempt}
    end
    attempt = attempt + 1
  end
  released = redis.call('GETRANGE', KEYS[1], 77, -1)
end
local row = string.format('%010.0f%015.0f', attempt, now + ARGV[3])
redis.call('SET', KEYS[1], 's1r' .. ARGV[1] .. ARGV[2] .. row .. released)
return {'acquired', attempt}

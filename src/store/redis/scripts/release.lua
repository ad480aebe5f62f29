-- Frees the key if this token has claimed it. Whatever is found, no begin with this token claims the key from now on.
-- ARGV: token, for how many ms that is remembered of a key that is free, how many tokens are remembered
local head = redis.call('GETRANGE', KEYS[1], 0, 76)
local state = string.sub(head, 3, 3)
local is_free = head == '' or string.sub(head, 1, 3) == 's1f'
if not is_free and (#head < 77 or string.sub(head, 1, 2) ~= 's1') then
  return redis.error_reply('UNREADABLE no record that this version can read')
end
local is_ours = not is_free and string.sub(head, 4, 19) == ARGV[1]
if state == 'c' or state == 'n' then
  -- there is a record for longer than a begin can be late
  return is_ours and 'already' or 'lost'
end
local released = ''
if head ~= '' then
  released = redis.call('GETRANGE', KEYS[1], is_free and 3 or 77, -1)
end
local tokens = ARGV[1]
for at = 1, math.min(#released, 16 * (ARGV[3] - 1)), 16 do
  local token = string.sub(released, at, at + 15)
  if token ~= ARGV[1] then
    tokens = tokens .. token
  end
end
if not is_free and not is_ours then
  redis.call('SETRANGE', KEYS[1], 77, tokens)
  return 'lost'
end
-- first removed: after a write a server that is full takes another
redis.call('DEL', KEYS[1])
redis.pcall('SET', KEYS[1], 's1f' .. tokens, 'PX', ARGV[2])
return is_ours and 'done' or 'lost'

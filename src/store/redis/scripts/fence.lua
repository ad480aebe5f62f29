-- Before each script that is fenced: goes on only where the key is claimed by this token. ARGV[1]: the token
local head = redis.call('GETRANGE', KEYS[1], 0, 76)
if string.sub(head, 1, 3) == 's1f' then
  return 'lost'
end
if head ~= '' and (#head < 77 or string.sub(head, 1, 2) ~= 's1') then
  return redis.error_reply('UNREADABLE no record that this version can read')
end
if string.sub(head, 4, 19) ~= ARGV[1] then
  return 'lost'
end
if string.sub(head, 3, 3) ~= 'r' then
  return 'already'
end

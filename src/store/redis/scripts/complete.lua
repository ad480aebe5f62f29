-- ARGV: token, 'c' and the answer or 'n' and nothing, for how many ms it is kept
redis.call('SET', KEYS[1], 's1' .. ARGV[2] .. string.sub(head, 4) .. ARGV[3], 'PX', ARGV[4])
return 'done'

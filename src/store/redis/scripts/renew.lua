-- ARGV: token, lease in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SETRANGE', KEYS[1], 62, string.format('%015.0f', now + ARGV[2]))
return 'done'

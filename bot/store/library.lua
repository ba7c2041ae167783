#!lua name=hercules1
-- The store's functions. Loaded by the admin user at start-up; called by the bot's user with FCALL.
-- Rule 1: every key comes in KEYS and shares one slot. Rule 2: a function that writes touches every key it
-- will write before its first write, so that a key of a wrong type (put there by hand) fails it as a whole.
-- Rule 3: no judgement about content: bodies are opaque, only the version inside a stamped value is read.
-- Rule 4: names carry the schema's number; functions of one schema only ever gain arguments at the end.

local FORMAT = '\1'
local HEAD = 33

local function version_of(value)
  if not value then return 0 end
  if #value < HEAD or string.sub(value, 1, 1) ~= FORMAT then return nil end
  return (struct.unpack('>I8', value, 18))
end

local function next_due(ready)
  local first = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')
  return first[2] or ''
end

local function forget(effects, attempts, ready, id)
  redis.call('HDEL', effects, id)
  redis.call('HDEL', attempts, id)
  redis.call('ZREM', ready, id)
end

-- KEYS made session transcript commits effects attempts ready parked open ended unindexed
-- ARGV id, seen, by, stamped outcome, stamped record, open, now, session channel, ready channel,
--      #entries, #wishes, #gone, then (n, stamped)*, (id, due, stamped)*, id*, then, where the commit was
--      made from what its caller remembered: the stamped record that it remembered
local function commit(keys, args)
  if redis.call('GET', keys[1]) ~= '1' then return {'emptied'} end
  local held = redis.call('HMGET', keys[2], 'r', 'n', 'b', 'o')
  local first = redis.call('HGET', keys[4], args[3])
  if redis.call('HEXISTS', keys[8], keys[2]) == 1 then return {'parked'} end
  if first then return {'repeated', first} end
  local version = version_of(held[1])
  if not version then return {'broken'} end
  local seen = tonumber(args[2])
  if version ~= seen then return {'superseded', held[1] or ''} end
  local count, bytes = tonumber(held[2] or '0'), tonumber(held[3] or '0')
  if not count or not bytes then return {'broken'} end
  local n_entries, n_wishes, n_gone = tonumber(args[10]), tonumber(args[11]), tonumber(args[12])
  local at = 12
  local remembered = args[13 + 2 * n_entries + 3 * n_wishes + n_gone]
  if remembered and remembered ~= held[1] then return {'superseded', held[1] or ''} end
  if n_entries > 0 and tonumber(args[at + 1]) ~= count + 1 then return {'out_of_step', count} end
  if n_entries > 0 then redis.call('XLEN', keys[3]) end
  if n_wishes + n_gone > 0 then
    redis.call('HLEN', keys[5])
    redis.call('HLEN', keys[6])
    redis.call('ZCARD', keys[7])
  end
  local moved = held[4] ~= args[6]
  if moved then
    redis.call('ZCARD', keys[9])
    redis.call('ZCARD', keys[10])
    redis.call('HLEN', keys[11])
  end

  for _ = 1, n_entries do
    redis.call('XADD', keys[3], args[at + 1] .. '-0', 'e', args[at + 2])
    count, bytes = count + 1, bytes + #args[at + 2]
    at = at + 2
  end
  redis.call('HSET', keys[4], args[3], args[4])
  redis.call('HSET', keys[2], 'r', args[5], 'n', count, 'b', bytes, 'o', args[6])
  if n_wishes > 0 then
    local soonest
    for _ = 1, n_wishes do
      local id, due = args[at + 1], args[at + 2]
      redis.call('HSET', keys[5], id, args[at + 3])
      redis.call('ZADD', keys[7], due, id)
      if not soonest or tonumber(due) < tonumber(soonest) then soonest = due end
      at = at + 3
    end
    redis.call('SPUBLISH', args[9], soonest)
  end
  for _ = 1, n_gone do
    forget(keys[5], keys[6], keys[7], args[at + 1])
    at = at + 1
  end
  if moved then
    local from, to = keys[10], keys[9]
    if args[6] == '0' then from, to = keys[9], keys[10] end
    redis.call('ZREM', from, args[1])
    redis.call('ZADD', to, args[7], args[1])
    redis.call('HSET', keys[11], args[1], seen + 1)
  end
  redis.call('SPUBLISH', args[8], 'e' .. (seen + 1) .. ':' .. count)
  return {'committed', count, bytes, moved and 1 or 0}
end

-- KEYS session parked; ARGV largest
local function load(keys, args)
  if redis.call('HEXISTS', keys[2], keys[1]) == 1 then return {'parked'} end
  if redis.call('HSTRLEN', keys[1], 'r') > tonumber(args[1]) then return {'broken'} end
  return redis.call('HMGET', keys[1], 'r', 'n', 'b')
end

-- KEYS transcript; ARGV from, limit
local function entries(keys, args)
  return redis.call('XRANGE', keys[1], args[1], '+', 'COUNT', args[2])
end

-- KEYS ready effects attempts; ARGV now, until, limit, largest
local function lease(keys, args)
  local due = redis.call('ZRANGEBYSCORE', keys[1], '-inf', args[1], 'LIMIT', 0, args[3])
  local out = {}
  for _, id in ipairs(due) do
    local size = redis.call('HSTRLEN', keys[2], id)
    if size == 0 then
      redis.call('ZREM', keys[1], id)
      redis.call('HDEL', keys[3], id)
    else
      local attempt = redis.call('HINCRBY', keys[3], id, 1)
      redis.call('ZADD', keys[1], args[2], id)
      local wish = ''
      if size <= tonumber(args[4]) then wish = redis.call('HGET', keys[2], id) end
      out[#out + 1] = {id, wish, attempt}
    end
  end
  return {out, next_due(keys[1])}
end

-- KEYS ready effects attempts; ARGV retry_at, attempt or '', id
local function release(keys, args)
  if redis.call('HEXISTS', keys[2], args[3]) == 0 then return 0 end
  local attempt = redis.call('HGET', keys[3], args[3])
  if args[2] ~= '' and attempt ~= args[2] then return 0 end
  redis.call('ZADD', keys[1], args[1], args[3])
  return 1
end

-- KEYS ready; ARGV now, until: what is due between the two is due now
local function hasten(keys, args)
  local late = redis.call('ZRANGEBYSCORE', keys[1], '(' .. args[1], args[2])
  for _, id in ipairs(late) do redis.call('ZADD', keys[1], args[1], id) end
  return #late
end

-- KEYS ready effects attempts; ARGV id*
local function settle(keys, args)
  redis.call('ZCARD', keys[1])
  redis.call('HLEN', keys[3])
  local had = 0
  for _, id in ipairs(args) do
    had = had + redis.call('HEXISTS', keys[2], id)
    forget(keys[2], keys[3], keys[1], id)
  end
  return had
end

-- KEYS made ready unindexed
local function look(keys, args)
  return {redis.call('GET', keys[1]) or '', next_due(keys[2]), redis.call('HLEN', keys[3])}
end

-- KEYS made record ids parked; ARGV id, seen, stamped, expires_ms
local function put(keys, args)
  if redis.call('GET', keys[1]) ~= '1' then return {'emptied'} end
  if redis.call('HEXISTS', keys[4], keys[2]) == 1 then return {'parked'} end
  local version = version_of(redis.call('GET', keys[2]))
  if not version then return {'broken'} end
  if version ~= tonumber(args[2]) then return {'conflict', version} end
  redis.call('ZADD', keys[3], 0, args[1])
  if args[4] == '0' then
    redis.call('SET', keys[2], args[3])
  else
    redis.call('SET', keys[2], args[3], 'PXAT', args[4])
  end
  return {'put'}
end

-- KEYS record parked; ARGV largest
local function get(keys, args)
  if redis.call('HEXISTS', keys[2], keys[1]) == 1 then return {'parked'} end
  if redis.call('STRLEN', keys[1]) > tonumber(args[1]) then return {'broken'} end
  return {'got', redis.call('GET', keys[1])}
end

-- Delete, only if it is still `expected`. KEYS record ids parked; ARGV id, expected
local function take(keys, args)
  redis.call('ZCARD', keys[2])
  redis.call('HLEN', keys[3])
  if redis.call('GET', keys[1]) ~= args[2] then return 0 end
  redis.call('DEL', keys[1])
  redis.call('ZREM', keys[2], args[1])
  return 1
end

-- Delete whatever is there, and its alarm. KEYS record ids parked; ARGV id
local function delete(keys, args)
  local had = redis.call('DEL', keys[1])
  redis.call('ZREM', keys[2], args[1])
  redis.call('HDEL', keys[3], keys[1])
  return had
end

-- KEYS ids; ARGV after ('-' or '(id'), limit
local function list(keys, args)
  return redis.call('ZRANGEBYLEX', keys[1], args[1], '+', 'LIMIT', 0, args[2])
end

-- An id whose record has expired leaves the list. KEYS ids record; ARGV id
local function prune(keys, args)
  if redis.call('EXISTS', keys[2]) == 1 then return 0 end
  return redis.call('ZREM', keys[1], args[1])
end

-- KEYS parked ready; ARGV name, why, id to take from the ready list or '', most
local function park(keys, args)
  if args[3] ~= '' then redis.call('ZREM', keys[2], args[3]) end
  if redis.call('HLEN', keys[1]) >= tonumber(args[4]) then return 0 end
  return redis.call('HSETNX', keys[1], args[1], args[2])
end

-- KEYS parked; ARGV name
local function unpark(keys, args)
  return redis.call('HDEL', keys[1], args[1])
end

-- KEYS parked
local function alarms(keys, args)
  return redis.call('HGETALL', keys[1])
end

-- KEYS progress; ARGV stamped, most, kept_ms, channel
local function progress(keys, args)
  redis.call('XADD', keys[1], 'MAXLEN', '=', args[2], '*', 'p', args[1])
  redis.call('PEXPIRE', keys[1], args[3])
  redis.call('SPUBLISH', args[4], 'p' .. args[1])
  return 1
end

-- KEYS progress; ARGV limit
local function latest(keys, args)
  return redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', args[1])
end

-- KEYS open ended versions; ARGV session, version, open, now
local function index(keys, args)
  local known = tonumber(redis.call('HGET', keys[3], args[1]) or '0') or 0
  if known >= tonumber(args[2]) then return 0 end
  local from, to = keys[2], keys[1]
  if args[3] == '0' then from, to = keys[1], keys[2] end
  redis.call('ZREM', from, args[1])
  redis.call('ZADD', to, args[4], args[1])
  redis.call('HSET', keys[3], args[1], args[2])
  return 1
end

-- KEYS unindexed; ARGV limit
local function unindexed(keys, args)
  return redis.call('HSCAN', keys[1], '0', 'COUNT', args[1])[2]
end

-- KEYS unindexed; ARGV session, version
local function indexed(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then return 0 end
  return redis.call('HDEL', keys[1], args[1])
end

-- Newest first. KEYS sessions; ARGV after id or '', after score, limit
local function sessions(keys, args)
  local limit = tonumber(args[3])
  if args[1] == '' then return redis.call('ZREVRANGE', keys[1], 0, limit - 1, 'WITHSCORES') end
  local rank = redis.call('ZREVRANK', keys[1], args[1])
  local score = redis.call('ZSCORE', keys[1], args[1])
  if rank and tonumber(score) == tonumber(args[2]) then
    return redis.call('ZREVRANGE', keys[1], rank + 1, rank + limit, 'WITHSCORES')
  end
  return redis.call('ZREVRANGEBYSCORE', keys[1], '(' .. args[2], '-inf', 'WITHSCORES', 'LIMIT', 0, limit)
end

-- KEYS schema installation
local function meta(keys, args)
  return {redis.call('GET', keys[1]), redis.call('GET', keys[2])}
end

local function register(name, callback, flags)
  redis.register_function{function_name = 'h1_' .. name, callback = callback, flags = flags or {}}
end

register('commit', commit)
register('put', put)
register('progress', progress)
register('index', index)
-- What frees or only moves works when memory is full too.
register('lease', lease, {'allow-oom'})
register('release', release, {'allow-oom'})
register('hasten', hasten, {'allow-oom'})
register('settle', settle, {'allow-oom'})
register('take', take, {'allow-oom'})
register('delete', delete, {'allow-oom'})
register('prune', prune, {'allow-oom'})
register('park', park, {'allow-oom'})
register('unpark', unpark, {'allow-oom'})
register('indexed', indexed, {'allow-oom'})
-- (The loading environment has no pairs.)
register('load', load, {'no-writes'})
register('entries', entries, {'no-writes'})
register('look', look, {'no-writes'})
register('get', get, {'no-writes'})
register('list', list, {'no-writes'})
register('alarms', alarms, {'no-writes'})
register('latest', latest, {'no-writes'})
register('unindexed', unindexed, {'no-writes'})
register('sessions', sessions, {'no-writes'})
register('meta', meta, {'no-writes'})

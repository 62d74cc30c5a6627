-- Hands over due leases of the bucket. Expiries that need no call end here, with one record that names them all; the rest are
-- claimed: a new epoch, hidden for a while, never out of the due set. `calls` 0 (hold): what needs a call waits. `busy` names issuers,
-- with a space behind each, whose leases nobody has room for: they step aside for a second, unclaimed, so that others can be seen.
read_facts()
local at = instant(now, agreed)
local ids = redis.call("ZRANGEBYSCORE", P .. ":due", "-inf", at, "LIMIT", 0, limit)
if #ids == 0 then return { 0, 0 } end
local keys = {}
for i, id in ipairs(ids) do keys[i] = lease_key(id) end
local texts = redis.call("MGET", unpack(keys))

local is_busy = {}
for name in string.gmatch(busy, "%S+") do is_busy[name] = true end
local expired, claimed, ending = {}, {}, {}
local reply = { 0, #ids }
for i, id in ipairs(ids) do
  if not texts[i] then
    redis.call("ZREM", P .. ":due", id) -- closed by force in another life; nothing is left to end
  else
    local lease = unpack_lease(id, texts[i])
    local state = lease[STATE]
    if state == "a" and lease[EXPIRES] > at and not marked(lease) then
      redis.call("ZADD", P .. ":due", lease[EXPIRES], id)
    else
      if state == "a" or state == "p" then
        local by = state == "p" and "issue_failed" or (lease[EXPIRES] > at and "revoked" or "expiry")
        if finish(id, lease, at, by) == "closed" then
          expired[#expired + 1] = "lease_" .. id
        else
          ending[#ending + 1] = "lease_" .. id
        end
      end
      if lease[STATE] == "r" or lease[STATE] == "s" then
        if calls == 1 and is_busy[lease[ISSUER]] then
          redis.call("ZADD", P .. ":due", at + 1000, id)
        elseif calls == 1 then
          put(lease, EPOCH, at_place(lease, EPOCH) + 1)
          write_lease(id, lease)
          redis.call("ZADD", P .. ":due", at + hide, id)
          claimed[#claimed + 1] = "lease_" .. id
          reply[#reply + 1] = id
          reply[#reply + 1] = pack_lease(lease)
        else
          redis.call("ZADD", P .. ":due", at + 15000, id)
        end
      end
    end
  end
end
write_closed(at)
if #expired > 0 then record(at, '{"action":"leases.expired","principal":"broker"}', { leases = expired, ended_by = "expiry" }) end
if #ending > 0 then record(at, '{"action":"lease.ending","principal":"broker"}', { leases = ending }) end
if #claimed > 0 then record(at, '{"action":"lease.claimed","principal":"broker"}', { leases = claimed }) end
save_facts()
reply[1] = #expired
return reply

-- What verifiers say of tokens they met: `uses` is a list of [lease, instant, how, source, route, count], `how` "" (honoured), "ended" (refused
-- because the lease had ended) or "refused" (for another reason). Leases that are forgotten are passed over. The first use after the
-- end, and then one a minute at most for each lease, is recorded. Answers the leases and how often, for those that were recorded.
read_facts()
local at = instant(now, agreed)
local reply = {}
-- Verifiers' clocks differ from ours: a use counts as late only beyond this, unless the verifier itself said that the lease had ended.
local ALLOWANCE = 2000
local EVERY = 60000

for _, use in ipairs(cjson.decode(uses)) do
  local id, used, how, source, route = use[1], math.min(use[2], at), use[3], use[4], use[5]
  local lease = read_lease(id)
  if lease then
    local over = at_place(lease, ENDED)
    if over == 0 then
      local mark = mark_over(lease[SUBJECT], lease[GRANT], lease[ISSUER], lease[TRUST], lease[KEY] or "")
      if lease[OPENED] <= mark then over = mark end
    end
    if over == 0 or over > lease[EXPIRES] then over = lease[EXPIRES] end
    local late = over <= at and (how == "ended" or used > over + ALLOWANCE)
    local key = P .. ":u:" .. id
    local text = redis.call("GET", key)
    -- last use, last use after the end, how many of these, when that was last recorded
    local known = text and cjson.decode(text) or { 0, 0, 0, 0 }
    if how == "" then known[1] = math.max(known[1], used) end
    if late then
      known[2] = math.max(known[2], used, over)
      known[3] = known[3] + use[6]
      local list = P .. ":ua"
      redis.call("ZADD", list, known[2], id)
      redis.call("ZREMRANGEBYRANK", list, 0, -1001)
      redis.call("ZREMRANGEBYSCORE", list, "-inf", at - 691200000)
      if at - known[4] >= EVERY then
        known[4] = at
        record(at, said, {
          lease = "lease_" .. id, task = "task_" .. lease[TASK], subject = lease[SUBJECT], workload = lease[WORKLOAD], grant = lease[GRANT],
          ended_at = over, used_at = used, uses = known[3], outcome = how == "" and "accepted" or "refused", source = source, route = route,
        })
        reply[#reply + 1] = id
        reply[#reply + 1] = tostring(known[3])
      end
    end
    if how == "" or late then
      -- As long as its lease can be read, and a little: a lease lives on for an hour after its end.
      redis.call("SET", key, cjson.encode(known), "PX", math.max(lease[EXPIRES] + 3600000 - at, 3600000))
    end
  end
end
save_facts()
return reply

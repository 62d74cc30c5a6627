-- Writes down when leases were dead everywhere, once that is known: with their task (`kind` "task") or their revocation job. What
-- was written before stays, and what has been forgotten is not remembered again.
local dead = cjson.decode(said)
if kind == "task" then
  local key = P .. ":tl:" .. id
  for lease, at in pairs(dead) do
    local text = redis.call("HGET", key, lease)
    local row = text and text ~= "" and cjson.decode(text) or nil
    if row and #row >= 9 and not row[10] then
      row[10] = at
      redis.call("HSET", key, lease, cjson.encode(row))
    end
  end
else
  local key = P .. ":re:" .. id
  for index, text in ipairs(redis.call("LRANGE", key, 0, 999)) do
    local ending = cjson.decode(text)
    local at = dead[string.sub(ending.leaseId, 7)]
    if at and not ending.deadBy then
      ending.deadBy = at
      redis.call("LSET", key, index - 1, cjson.encode(ending))
    end
  end
end
return 1

-- Cleans up behind a mark: ends up to a page of the leases it covers. `subject` names a workload's own index, else the due index
-- is walked. The cursor says where the walk stands and names the last lease looked at that is still there: others end leases
-- meanwhile, and a number of leases to pass over would pass over some that nobody has looked at. If that one has left too, its
-- neighbours are looked at again.
read_facts()
local at = instant(now, agreed)
local where, after = string.match(cursor, "^([^:]*):(.*)$")
local ids, more = {}, false
if subject ~= "" then
  local here = process_id()
  local scanned, process = string.match(where or "", "^(%d+)@(%x+)$")
  if process ~= here then scanned = "0" end
  local page = redis.call("HSCAN", P .. ":w:" .. subject, scanned, "COUNT", limit)
  local first, last = 1, #page[2]
  if page[1] == "0" and scanned == "0" then -- a small index comes whole, whatever is asked for
    for i = 1, last, 2 do
      if page[2][i] == after then first = i + 2 end
    end
    last = math.min(last, first + 2 * limit - 1)
  end
  for i = first, last, 2 do ids[#ids + 1] = page[2][i] end
  where, more = page[1] .. "@" .. here, page[1] ~= "0" or last < #page[2]
else
  local due = P .. ":due"
  local known = after and tonumber(redis.call("ZSCORE", due, after) or "") == tonumber(where) and redis.call("ZRANK", due, after)
  if known then
    ids = redis.call("ZRANGE", due, known + 1, known + limit)
  else
    ids = redis.call("ZRANGEBYSCORE", due, where or "-inf", "+inf", "LIMIT", 0, limit)
  end
  more = #ids == limit
  if more then where = redis.call("ZSCORE", due, ids[limit]) end
end
local reply = { "" }
local wanted = place == KEY and short(name) or name
local closed, revoking = {}, {}
after = ""
for _, id in ipairs(ids) do
  local lease = read_lease(id)
  local how
  if lease and lease[OPENED] <= mark and (place == 0 or lease[place] == wanted) then
    how = finish(id, lease, at, "revoked")
    if how == "closed" then closed[#closed + 1] = "lease_" .. id end
    if how == "revoking" then revoking[#revoking + 1] = "lease_" .. id end
    reply[#reply + 1] = id
    reply[#reply + 1] = pack_lease(lease)
  end
  -- what was closed has left either index, and what begins to be revoked is due now
  if how ~= "closed" and (subject ~= "" or how ~= "revoking") then after = id end
end
write_closed(at)
if more then reply[1] = where .. ":" .. after end
if #closed > 0 then record(at, said, { leases = closed, ended_by = "revoked" }) end
if #revoking > 0 then record(at, said, { leases = revoking, ended_by = "revoked", state = "revoking" }) end
save_facts()
return reply

-- Cleans up behind a mark: ends up to a page of the leases it covers. `subject` names a workload's own index, else the due index
-- is walked from a score and an offset among equals.
read_facts()
local at = instant(now, agreed)
local ids, next_cursor = {}, ""
-- A small index comes whole, whatever is asked for: then `more` of it is left, and the cursor says how many to pass over.
local from_page, skipped, more = "0", 0, false
if subject ~= "" then
  if cursor ~= "" then
    local colon = string.find(cursor, ":", 1, true)
    from_page, skipped = string.sub(cursor, 1, (colon or 0) - 1), colon and tonumber(string.sub(cursor, colon + 1)) or 0
  end
  local page = redis.call("HSCAN", P .. ":w:" .. subject, from_page, "COUNT", limit)
  if page[1] ~= "0" or from_page ~= "0" then skipped = 0 end -- it has grown since: rather look twice than pass over one
  local last = #page[2] / 2
  if page[1] == "0" and from_page == "0" and last > skipped + limit then last, more = skipped + limit, true end
  for i = skipped + 1, last do ids[#ids + 1] = page[2][2 * i - 1] end
  if page[1] ~= "0" then next_cursor = page[1] end
else
  local from, skip = "-inf", 0
  if cursor ~= "" then
    local colon = string.find(cursor, ":", 1, true)
    from, skip = string.sub(cursor, 1, colon - 1), tonumber(string.sub(cursor, colon + 1))
  end
  local rows = redis.call("ZRANGEBYSCORE", P .. ":due", from, "+inf", "WITHSCORES", "LIMIT", skip, limit)
  for i = 1, #rows, 2 do ids[#ids + 1] = rows[i] end
  if #ids == limit then
    local last, equals = rows[#rows], 0
    for i = #rows, 2, -2 do
      if rows[i] ~= last then break end
      equals = equals + 1
    end
    if last == from then equals = equals + skip end
    next_cursor = last .. ":" .. string.format("%d", equals)
  end
end
local reply = { next_cursor }
local wanted = place == KEY and short(name) or name
local closed, revoking, gone = {}, {}, 0
for _, id in ipairs(ids) do
  local lease = read_lease(id)
  if lease and lease[OPENED] <= mark and (place == 0 or lease[place] == wanted) then
    local how = finish(id, lease, at, "revoked")
    if how == "closed" then
      closed[#closed + 1] = "lease_" .. id
      gone = gone + 1
    end
    if how == "revoking" then revoking[#revoking + 1] = "lease_" .. id end
    reply[#reply + 1] = id
    reply[#reply + 1] = pack_lease(lease)
  end
end
write_closed(at)
if more then next_cursor = "0:" .. string.format("%d", skipped + #ids - gone) end
reply[1] = next_cursor
-- Members that left the walked index shift what follows them back.
if subject == "" and next_cursor ~= "" then
  local colon = string.find(next_cursor, ":", 1, true)
  local last = string.sub(next_cursor, 1, colon - 1)
  next_cursor = last .. ":" .. string.format("%d", redis.call("ZCOUNT", P .. ":due", last, last) > 0 and math.max(0, tonumber(string.sub(next_cursor, colon + 1)) - gone - #revoking) or 0)
  reply[1] = next_cursor
end
if #closed > 0 then record(at, said, { leases = closed, ended_by = "revoked" }) end
if #revoking > 0 then record(at, said, { leases = revoking, ended_by = "revoked", state = "revoking" }) end
save_facts()
return reply

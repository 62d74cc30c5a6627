-- Revokes at once, in constant work, everything in this bucket that was opened at or before the mark. Every bucket is given the same
-- instant, whenever its turn comes: verifiers know one instant for all of them. Answers the instant it holds.
read_facts()
local at = instant(now, agreed)
local marks = P .. ":marks"
local before = tonumber(redis.call("HGET", marks, scope) or 0)
-- A later mark stands already, or this one does: a job that goes on after a crash asks again.
if before >= mark then return string.format("%d", before) end
redis.call("HSET", marks, scope, string.format("%d", mark))
if string.sub(scope, 1, 4) == "key:" then
  redis.call("HSET", marks, "k:" .. short(string.sub(scope, 5)), string.format("%d", mark))
end
announce("m", scope, mark)
-- Every place given out so far is covered, whatever else the clean-up has come to.
if scope == "all" then
  local given = redis.call("HGETALL", P .. ":sn")
  if #given > 0 then redis.call("HSET", P .. ":sa", unpack(given)) end
end
-- No lease outlives its opening by more than a day: older marks cover nothing.
if scope ~= "all" then
  local all = redis.call("HSCAN", marks, 0, "COUNT", 200)[2]
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) < at - 90000000 then redis.call("HDEL", marks, all[i]) end
  end
end
set_fact("marks", redis.call("HLEN", marks))
record(at, said, { mark = scope, at = mark })
save_facts()
return string.format("%d", mark)

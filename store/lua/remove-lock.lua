-- Takes a lock away, unless another of the same scope has replaced it.
read_facts()
local at = instant(now, agreed)
local held = redis.call("HGET", P .. ":locks", scope)
if held and cjson.decode(held).id == id then
  redis.call("HDEL", P .. ":locks", scope)
  set_fact("locks", redis.call("HLEN", P .. ":locks"))
end
if said ~= "" then record(at, said, nil) end
save_facts()
return 1

-- A record of something that changes no lease and no task.
read_facts()
local before = redis.call("GET", P .. ":once:" .. once)
if before then return before end -- our own earlier call, whose reply was lost
local at = instant(now, agreed)
record(at, said, nil)
save_facts()
local seq = string.format("%d", facts.seq)
redis.call("SET", P .. ":once:" .. once, seq, "PX", 60000)
return seq

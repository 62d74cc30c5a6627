-- Puts the bucket on hold, or takes it off; off also lets go of a time mark that is ahead of the clock.
read_facts()
if hold == 0 and facts.hw > now then set_fact("hw", now) end
set_fact("hold", hold)
if hold == 1 then redis.call("HSET", P, "generation", string.format("%d", generation)) end
if said ~= "" then record(now, said, nil) end
save_facts()
return 1

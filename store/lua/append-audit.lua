-- A record of something that changes no lease and no task.
read_facts()
local at = instant(now, agreed)
record(at, said, nil)
save_facts()
return string.format("%.0f", facts.seq)

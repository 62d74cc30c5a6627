-- Gives the exporter's lock back, if it is still held.
if redis.call("GET", P .. ":exporter") == holder then redis.call("DEL", P .. ":exporter") end
return 1

-- Writes a lock into the registry that people read, before it is put into the buckets that must refuse.
redis.call("HSET", P .. ":locks", id, body)
return 1

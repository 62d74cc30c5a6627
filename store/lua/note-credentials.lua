-- Which lease a credential belongs to, for many at once. The keys are of no bucket: for a single Redis only.
for _, note in ipairs(cjson.decode(notes)) do redis.call("SET", note[1], note[2], "PX", note[3]) end
return 1

-- 1 while a token of this lease, signed by this key, must be honoured.
read_facts()
local at = now
if facts.hw > at then at = facts.hw end
local lease = read_lease(id)
if not lease or lease[STATE] ~= "a" or lease[EXPIRES] <= at or marked(lease) then return 0 end
if key ~= "" and lease[OPENED] <= mark_over(lease[SUBJECT], lease[GRANT], lease[ISSUER], lease[TRUST], key) then return 0 end
return 1

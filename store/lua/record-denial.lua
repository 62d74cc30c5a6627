-- A refusal that the decision made: its record and its audit record. "spent": the evidence had no use left, so its caller learns nothing more.
read_facts()
local before = redis.call("GET", P .. ":d:" .. denial)
if before then return string.sub(before, 1, 15) == "evidence_spent\n" and "spent" or "recorded" end -- our own earlier call
local at = instant(now, agreed)
local left = evidence == "" or evidence_left(evidence, evidence_max)
deny(at, denial, subject, denial_body, said, retention, left and code or "evidence_spent", message)
count_refusal(evidence, evidence_max, evidence_ttl)
save_facts()
return left and "recorded" or "spent"

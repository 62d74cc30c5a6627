-- A refusal that the decision made: its record and its audit record. "spent", "other_key": the evidence was of no use to its caller, who learns nothing more.
read_facts()
local ANSWERS = { evidence_spent = "spent", binding_mismatch = "other_key" }
local before = redis.call("GET", P .. ":d:" .. denial)
if before then return ANSWERS[string.match(before, "^[^\n]*")] or "recorded" end -- our own earlier call
local at = instant(now, agreed)
local unfit = evidence ~= "" and evidence_refusal(evidence, evidence_max, evidence_key) or nil
deny(at, denial, subject, denial_body, said, retention, unfit or code, message)
if unfit ~= "binding_mismatch" then count_refusal(evidence, evidence_max, evidence_ttl) end
save_facts()
return ANSWERS[unfit] or "recorded"

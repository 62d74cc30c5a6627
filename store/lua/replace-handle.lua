-- Swaps a lease's sealed handle for the same handle under another key, unless it has changed or gone meanwhile.
local lease = read_lease(id)
if not lease or at_place(lease, HANDLE) ~= from then return "changed" end
put(lease, HANDLE, to)
write_lease(id, lease)
return "replaced"

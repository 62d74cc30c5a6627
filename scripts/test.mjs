// npm test: the whole suite, or what Jest's own arguments select, on real servers.
import { join } from "node:path";
import { ensureBuilt, ensureNginx, ensurePostgres, ensureRedis, ensureSsh, ensureValkey, root, run } from "./prepare.mjs";

await ensureBuilt();
await ensureRedis();
await ensureValkey();
await ensureNginx();
await ensureSsh();
await ensurePostgres();
const jest = join(root, "node_modules/jest/bin/jest.js");
const { code } = await run(process.execPath, ["--experimental-vm-modules", "--no-warnings", jest, ...process.argv.slice(2)]);
process.exitCode = code;

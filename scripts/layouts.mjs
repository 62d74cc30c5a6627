// npm run layouts: the store's contract, and stories of whole brokers, on a primary with a replica behind Sentinel and on a Cluster of
// three primaries with a replica each. Arguments are Jest's own. STINT_TEST_REDIS_SERVER=valkey: all of it on Valkey.
import { join } from "node:path";
import { ensureBuilt, ensureRedis, ensureValkey, root, run } from "./prepare.mjs";

const STORIES = [
  "test/store/(cluster|sentinel)",
  "test/stories/(two-brokers|oauth-client|x509|github-app)",
  "test/broker/(leases|tasks|revocations|tokens|denials|sweeper|dpop|authorize|status-list)/",
  "test/broker/(hold|requests)",
];

await ensureBuilt();
await ensureRedis();
if (process.env["STINT_TEST_REDIS_SERVER"] === "valkey") await ensureValkey();
const jest = join(root, "node_modules/jest/bin/jest.js");
for (const layout of ["sentinel", "cluster"]) {
  console.error(`stint: stories on a ${layout}`);
  const env = { ...process.env, STINT_TEST_REDIS_LAYOUT: layout };
  const args = ["--experimental-vm-modules", "--no-warnings", jest, ...STORIES, ...process.argv.slice(2)];
  const { code } = await run(process.execPath, args, { env });
  if (code !== 0) process.exitCode = code;
}

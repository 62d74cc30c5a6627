import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Secret } from "../../../domain/secret.ts";
import { eventually } from "../events.ts";
import { presetClaims } from "../idp-claims.ts";
import { startIdp, type TestIdp } from "../idp.ts";
import { startMain, type MainProcess } from "../main-process.ts";
import { startRedis } from "../redis.ts";
import { openShop, shopDocuments } from "../shop.ts";
import { aToken, codeOf, isHonoured, revoke } from "./asking.ts";
import { Promises, type Fault } from "./fault.ts";

const run = promisify(execFile);
const STINT = join(import.meta.dirname, "../../../client/cli/main.js");
/** Left in the file before it is full. */
const ROOM = 16_384;
const MOST = 2_000;

/** A file may grow no further (a limit on its size, which needs no root; a full disk fails the same calls): Redis's own, then the audit's. */
export const fullDisk: Fault = {
  id: "F21",
  what: "no room for the append-only file of Redis, then none for the audit files",
  async run() {
    const promises = new Promises();
    const redis = await fullRedis(promises);
    const audit = await fullAudit(promises);
    return { figures: { ...redis, ...audit }, broken: promises.broken };
  },
};

/** The largest file that this process may write; `bytes` undefined: any. */
const limit = (pid: number, bytes: number | undefined): Promise<unknown> =>
  run("prlimit", ["--pid", String(pid), `--fsize=${bytes ?? "unlimited"}:unlimited`]);

/** Size of the largest file of a folder and those below. */
async function largest(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name))));
  return Math.max(0, ...sizes.map(({ size }) => size));
}

async function fullRedis(promises: Promises): Promise<Record<string, number>> {
  await using redis = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "everysec"], survivesFullFiles: true });
  await using shop = await openShop({ redis });
  const pid = Number(/process_id:(\d+)/.exec(await redis.client().info("server"))?.[1]);
  const tokens: Secret[] = [];
  for (let count = 0; count < 5; count += 1) tokens.push(await aToken(shop));
  const [kept, ended] = tokens;
  if (kept === undefined || ended === undefined) throw new Error("no tokens");
  await limit(pid, (await largest(join(redis.socket ?? "", "../appendonlydir"))) + ROOM);
  for (let count = 0; count < MOST && tokens.length === count + 5; count += 1) {
    const code = await codeOf(aToken(shop).then((token) => tokens.push(token)));
    promises.expect(code === "ok" || code === "store_unavailable", `Redis without room: ${code}`);
  }
  promises.expect((await codeOf(aToken(shop))) === "store_unavailable", "something is issued though Redis cannot write its file");
  promises.expect(await isHonoured(shop, kept), "a token cannot be introspected while Redis has no room");
  promises.expect(
    (await codeOf(revoke(shop, ended))) === "store_unavailable",
    "a revocation is reported done though Redis cannot write it",
  );
  await limit(pid, undefined);
  await eventually("there is room again", async () => (await codeOf(aToken(shop))) === "ok", 20_000);
  promises.expect((await codeOf(revoke(shop, ended))) === "ok", "nothing can be revoked although there is room again");
  await eventually("the file is synced", async () => /aof_pending_bio_fsync:0/.test(await redis.client().info("persistence")));
  await redis.kill9();
  await redis.restart();
  await eventually("Redis answers again", async () => (await codeOf(isHonoured(shop, kept))) === "ok", 20_000);
  for (const token of tokens) if (token !== ended) promises.expect(await isHonoured(shop, token), "a token that was acknowledged is lost");
  return { issued_until_full: tokens.length };
}

async function fullAudit(promises: Promises): Promise<Record<string, number>> {
  await using redis = await startRedis();
  await using idp = await startIdp();
  await using main = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl: redis.url });
  const { pid = 0 } = main.child;
  const first = await ask(main, idp);
  await limit(pid, (await largest(main.auditDir)) + ROOM);
  let asked = 0;
  let last = first;
  const full = async (): Promise<boolean> => {
    asked += 1;
    last = await ask(main, idp);
    return last.status === 503;
  };
  await eventually("issuing stops", full, 60_000);
  promises.expect(last.text.includes("audit_unavailable"), `refused for another reason: ${last.text}`);
  const revoked = await fetch(`${main.at}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: first.token }) });
  promises.expect(revoked.status === 200, `revoking answers ${revoked.status} while nothing can be audited in a file`);
  await limit(pid, undefined);
  await eventually("issuing goes on", async () => (await ask(main, idp)).status === 200, 60_000);
  await eventually("all is exported", async () => (await fetch(`${main.at}/readyz`)).ok, 30_000);
  const verified = await run(process.execPath, [STINT, "audit", "verify", main.auditDir]).then(
    ({ stdout }) => ({ ok: true, said: stdout }),
    (error: unknown) => ({ ok: false, said: String(error) }),
  );
  promises.expect(verified.ok, `the audit files do not verify: ${verified.said}`);
  return { asked_until_full: asked };
}

async function ask(main: MainProcess, idp: TestIdp): Promise<{ readonly status: number; readonly text: string; readonly token: string }> {
  const claims = { iss: idp.issuer, aud: main.url, repository_id: "456789", ref: "refs/heads/main", run_id: `${(runs += 1)}` };
  const body = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: await idp.token(presetClaims("github", claims)),
    subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
    scope: "grant:deploy",
  });
  const response = await fetch(`${main.at}/oauth2/token`, { method: "POST", body });
  const text = await response.text();
  return { status: response.status, text, token: (JSON.parse(text) as { readonly access_token?: string }).access_token ?? "" };
}
let runs = 0;

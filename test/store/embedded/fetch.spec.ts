import { afterEach, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findRedisServer } from "../../../store/embedded/find.ts";

const NOBODY = 65_534;
const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "stint-fetch-"));
  folders.push(made);
  return made;
}

async function program(at: string, says: string): Promise<void> {
  await writeFile(at, `#!/bin/sh\necho "${says}"\n`);
  await chmod(at, 0o755);
}

describe("finding a Redis server", () => {
  it("takes the first on the path that is new enough, a Valkey too", async () => {
    const [old, good] = [await folder(), await folder()];
    await program(join(old, "redis-server"), "Redis server v=6.0.16 sha=0");
    await program(join(good, "valkey-server"), "Valkey server v=8.1.0 sha=0");
    const found = await findRedisServer({ searchPath: `relative:${old}:/no/such/folder:${good}`, cacheDir: await folder() });
    expect(found).toEqual({ binary: join(good, "valkey-server"), version: "8.1.0" });
  });

  it("falls back on the newest fetched one", async () => {
    const cacheDir = await folder();
    for (const version of ["7.0.15", "7.0.9"]) {
      await mkdir(join(cacheDir, `redis-${version}`));
      await program(join(cacheDir, `redis-${version}`, "redis-server"), `Redis server v=${version} sha=0`);
    }
    expect(await findRedisServer({ searchPath: "", cacheDir })).toMatchObject({ version: "7.0.15" });
  });

  it("finds nothing where there is nothing, or nothing that runs", async () => {
    const broken = await folder();
    await symlink("/no/such/program", join(broken, "redis-server"));
    await writeFile(join(broken, "valkey-server"), "not executable");
    expect(await findRedisServer({ searchPath: broken, cacheDir: join(broken, "none") })).toBeUndefined();
  });
});

describe("fetching a Redis server", () => {
  const offline = process.env["STINT_TEST_OFFLINE"] === "1" || !existsSync("/usr/bin/apt-get");
  if (offline) console.warn("not tested: fetching Redis from Debian packages (no apt-get here, or STINT_TEST_OFFLINE=1)");

  (offline ? it.skip : it)(
    "needs no root, leaves the system alone, and the result runs with fsync on every write",
    async () => {
      // Copied, because a checkout below a private home is closed to another user.
      const home = await folder();
      await cp(join(import.meta.dirname, "../../../store/embedded"), join(home, "embedded"), { recursive: true });
      await writeFile(join(home, "package.json"), '{"type":"module"}');
      await writeFile(join(home, "run.js"), SCRIPT);
      const asRoot = process.getuid?.() === 0;
      if (asRoot) {
        await chmod(home, 0o755);
        await mkdir(join(home, "home"));
        await chown(join(home, "home"), NOBODY, NOBODY);
      }
      const { stdout } = await promisify(execFile)(process.execPath, [join(home, "run.js"), join(home, "home")], {
        cwd: "/",
        env: { PATH: "/usr/bin:/bin", HOME: join(home, "home") },
        ...(asRoot ? { uid: NOBODY, gid: NOBODY } : {}),
      });
      expect(JSON.parse(stdout)).toMatchObject({
        uid: asRoot ? NOBODY : process.getuid?.(),
        answer: "+PONG",
        cached: true,
        binary: expect.stringMatching(/home\/\.cache\/stint\/redis-\d+\.\d+\.\d+\/redis-server$/),
        left: [expect.stringMatching(/^redis-/)],
      });
    },
    120_000,
  );

  it("says how to get one where it cannot", async () => {
    const home = await folder();
    const fetcher = join(import.meta.dirname, "../../../store/embedded/fetch.js");
    const script = `import { fetchRedisServer } from ${JSON.stringify(fetcher)};
      const log = { info() {}, warn() {}, error() {} };
      await fetchRedisServer({}, log).catch(({ name, exitCode, message }) => console.log(JSON.stringify({ name, exitCode, message })));`;
    const args = ["--input-type=module", "--eval", script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { PATH: home, HOME: home } });
    expect(JSON.parse(stdout)).toMatchObject({
      name: "NoRedisServer",
      exitCode: 78,
      message: expect.stringMatching(/apt-get is not there.*apt-get install redis-server.*STINT_REDIS_URL/),
    });
    expect(await readdir(join(home, ".cache/stint"))).toEqual([]);
  });
});

/** Fetches, starts, asks, stops; in a process of another user. */
const SCRIPT = `
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { findRedisServer } from "./embedded/find.js";
import { startEmbeddedRedis } from "./embedded/launch.js";
import { talk } from "./embedded/talk.js";
const home = process.argv[2];
const log = { info() {}, warn() {}, error() {} };
const redis = await startEmbeddedRedis({ dataDir: join(home, "data"), log, searchPath: "" });
const answer = await talk(redis.socketPath, "PING");
await redis.stop();
const cached = await findRedisServer({ searchPath: "" });
const left = await readdir(join(home, ".cache/stint"));
console.log(JSON.stringify({ uid: process.getuid(), answer, binary: redis.binary, cached: cached?.binary === redis.binary, left }));
`;

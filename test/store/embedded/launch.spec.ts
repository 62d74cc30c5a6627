import { afterEach, describe, expect, it } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import { startEmbeddedRedis, type EmbeddedRedis } from "../../../store/embedded/launch.ts";
import { eventually, EventLog } from "../../support/events.ts";

interface Said {
  readonly event: string;
  readonly socketPath?: string;
  readonly message?: string;
}

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const brokers = new Set<ChildProcess>();
const folders: string[] = [];

afterEach(async () => {
  for (const broker of brokers) broker.kill("SIGTERM");
  await Promise.all([...brokers].filter((broker) => (broker.exitCode ?? broker.signalCode) === null).map((broker) => once(broker, "exit")));
  brokers.clear();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function dataDirectory(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stint-data-"));
  folders.push(folder);
  return folder;
}

/** A broker in a process of its own. */
function startBroker(dataDir: string): { readonly child: ChildProcess; readonly said: EventLog<Said> } {
  const program = join(import.meta.dirname, "../../support/embedded-broker.js");
  const child = spawn(process.execPath, [program, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
  brokers.add(child);
  const said = new EventLog<Said>();
  createInterface({ input: child.stdout }).on("line", (line) => said.record(JSON.parse(line) as Said));
  return { child, said };
}

async function withClient<T>(socketPath: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ path: socketPath, maxRetriesPerRequest: null, retryStrategy: () => 20 });
  client.on("error", () => undefined);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

const open = (dataDir: string): Promise<EmbeddedRedis> => startEmbeddedRedis({ dataDir, log: quiet, searchPath: process.env["PATH"] });
const pidOf = (socketPath: string): Promise<number> =>
  withClient(socketPath, async (client) => Number(/process_id:(\d+)/.exec(await client.info("server"))?.[1]));
/** A dead process that nobody has collected yet (state Z) is gone. */
const isGone = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return true;
  }
};

describe("the embedded Redis", () => {
  it("writes every command to disk, never evicts, and listens nowhere but on its private socket", async () => {
    const dataDir = await dataDirectory();
    await using redis = await open(dataDir);
    await withClient(redis.socketPath, async (client) => {
      const config = async (name: string): Promise<string | undefined> => (await client.config("GET", name))[1];
      expect(await config("appendonly")).toBe("yes");
      expect(await config("appendfsync")).toBe("always");
      expect(await config("maxmemory-policy")).toBe("noeviction");
      expect(await config("port")).toBe("0");
      expect(await config("save")).toBe("");
    });
    expect((await stat(redis.socketPath)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dataDir, "redis"))).mode & 0o777).toBe(0o700);
    expect(redis.version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it("has everything back after an orderly restart", async () => {
    const dataDir = await dataDirectory();
    const first = await open(dataDir);
    await withClient(first.socketPath, (client) => client.set("kept", "yes"));
    const pid = await pidOf(first.socketPath);
    await first.stop();
    expect(isGone(pid)).toBe(true);
    await using second = await open(dataDir);
    expect(await withClient(second.socketPath, (client) => client.get("kept"))).toBe("yes");
  });

  it("is started again when it is killed, reports it, and has lost nothing that was acknowledged", async () => {
    await using redis = await open(await dataDirectory());
    const exits = new EventLog<{ readonly signal: string | null }>();
    redis.onExit(exits.record);
    await withClient(redis.socketPath, async (client) => {
      for (let n = 0; n < 200; n += 1) await client.incr("count");
      const reported = exits.next();
      process.kill(await pidOf(redis.socketPath), "SIGKILL");
      expect((await reported).signal).toBe("SIGKILL");
      expect(redis.isRunning()).toBe(false);
      expect(await client.get("count")).toBe("200");
    });
    await eventually("it is known to run again", () => redis.isRunning());
  });

  it("works in a folder whose path is too long for a socket, and ends up in the same place each time", async () => {
    const dataDir = join(await dataDirectory(), "a".repeat(60), "b".repeat(60));
    const first = await open(dataDir);
    await withClient(first.socketPath, (client) => client.set("kept", "yes"));
    await first.stop();
    await using second = await open(dataDir);
    expect(second.socketPath).toBe(first.socketPath);
    expect(Buffer.byteLength(second.socketPath)).toBeLessThanOrEqual(107);
    expect(await withClient(second.socketPath, (client) => client.get("kept"))).toBe("yes");
    folders.push(join(second.socketPath, ".."));
  });

  it("refuses a data directory that others may write to", async () => {
    const dataDir = await dataDirectory();
    await chmod(dataDir, 0o777);
    await expect(open(dataDir)).rejects.toMatchObject({
      name: "UnusableDataDirectory",
      exitCode: 78,
      message: expect.stringContaining("chmod 700"),
    });
  });

  it("refuses a data directory that cannot be made", async () => {
    const file = join(await dataDirectory(), "file");
    await writeFile(file, "");
    await expect(open(join(file, "below"))).rejects.toMatchObject({ name: "UnusableDataDirectory", exitCode: 78 });
  });
});

describe("a second broker on a data directory", () => {
  it("is refused while the first lives, by name and process", async () => {
    const dataDir = await dataDirectory();
    await using redis = await open(dataDir);
    const { child, said } = startBroker(dataDir);
    const refusal = await said.next(({ event }) => event === "refused");
    expect(refusal.message).toContain(`Another broker (process ${process.pid}) uses the data directory ${dataDir}`);
    await eventually("it ends", () => child.exitCode !== null);
    expect(child.exitCode).toBe(78);
    expect(redis.isRunning()).toBe(true);
  });

  it("is refused within one process too, and welcome once the first has stopped", async () => {
    const dataDir = await dataDirectory();
    const first = await open(dataDir);
    await expect(open(dataDir)).rejects.toMatchObject({ name: "DataDirectoryInUse" });
    await first.stop();
    await first.stop();
    await using second = await open(dataDir);
    expect(second.isRunning()).toBe(true);
  });
});

describe("a broker that was killed", () => {
  it("leaves a Redis behind that the next broker stops before it starts its own, and nothing is lost", async () => {
    const dataDir = await dataDirectory();
    const { child, said } = startBroker(dataDir);
    const { socketPath = "" } = await said.next(({ event }) => event === "ready");
    await withClient(socketPath, (client) => client.set("kept", "yes"));
    const orphan = await pidOf(socketPath);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(isGone(orphan)).toBe(false);
    await using redis = await open(dataDir);
    expect(isGone(orphan)).toBe(true);
    expect(await withClient(redis.socketPath, (client) => client.get("kept"))).toBe("yes");
  });

  it("is succeeded even when the Redis it left behind hangs and its socket is gone", async () => {
    const dataDir = await dataDirectory();
    const { child, said } = startBroker(dataDir);
    const { socketPath = "" } = await said.next(({ event }) => event === "ready");
    await withClient(socketPath, (client) => client.set("kept", "yes"));
    const orphan = await pidOf(socketPath);
    const killed = once(child, "exit");
    child.kill("SIGKILL");
    await killed;
    process.kill(orphan, "SIGSTOP");
    await rm(socketPath);
    await using redis = await open(dataDir);
    expect(isGone(orphan)).toBe(true);
    expect(await withClient(redis.socketPath, (client) => client.get("kept"))).toBe("yes");
  }, 40_000);

  it("takes its Redis along when it is told to end", async () => {
    const dataDir = await dataDirectory();
    const { child, said } = startBroker(dataDir);
    const { socketPath = "" } = await said.next(({ event }) => event === "ready");
    const pid = await pidOf(socketPath);
    child.kill("SIGTERM");
    await once(child, "exit");
    expect(isGone(pid)).toBe(true);
    expect(await readFile(join(dataDir, "redis/redis.log"), "utf8")).toContain("ready to exit");
  });

  it("leaves its environment out of its Redis", async () => {
    const dataDir = await dataDirectory();
    process.env["STINT_MASTER_KEY"] = "not for children";
    try {
      await using redis = await open(dataDir);
      const environment = await readFile(`/proc/${await pidOf(redis.socketPath)}/environ`, "utf8");
      expect(environment).not.toContain("STINT_");
    } finally {
      delete process.env["STINT_MASTER_KEY"];
    }
  });
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { AuditExporter } from "../../../broker/audit/exporter.ts";
import type { DiskWriter } from "../../../broker/audit/files.ts";
import { parseVerifier } from "../../../broker/audit/signed-note.ts";
import { verifyAudit } from "../../../broker/audit/verify.ts";
import { openStore } from "../../../store/open.ts";
import { auditDirectory, segmentFiles } from "../../support/audit-files.ts";
import { fakeClock } from "../../support/clock.ts";
import { eventually } from "../../support/events.ts";
import { startExporting, type Exporting } from "../../support/exporting.ts";
import { storeClock } from "../../support/orders.ts";

let test: Exporting;
beforeEach(async () => {
  test = await startExporting();
});
afterEach(async () => {
  await test[Symbol.asyncDispose]();
});
const verify = (dirs: readonly string[] = [test.dir]) => verifyAudit(dirs, { verifiers: [test.keys.verifier] });
const waiting = async (): Promise<number> =>
  (await test.store.audit.states()).filter(({ firstWaiting }) => firstWaiting !== undefined).length;
const lines = async (dir = test.dir): Promise<readonly { readonly n: number }[]> =>
  (await segmentFiles(dir)).flatMap((file) => file.lines.map((line) => JSON.parse(line) as { n: number }));
const numbers = async (dir?: string): Promise<readonly number[]> => (await lines(dir)).map(({ n }) => n).sort((a, b) => a - b);
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
const unhealthy = (exporter: AuditExporter, reason: string): void =>
  expect(exporter.status()).toMatchObject({ healthy: false, reason: expect.stringContaining(reason) });

describe("exporting", () => {
  it("moves every record to the files, in order, signs, and only then trims", async () => {
    await test.say(150);
    const exporter = test.exporter();
    unhealthy(exporter, "has not been looked at yet");
    expect(await exporter.round()).toBe(150);
    expect(exporter.status()).toEqual({ healthy: true, reason: undefined, backlogMs: 0 });
    expect(await numbers()).toEqual(upTo(150));
    expect(await waiting()).toBe(0);
    expect(await verify()).toMatchObject({ ok: true, records: 150, directories: [{ unsigned: 0 }] });
    await test.say(3);
    expect(await exporter.round()).toBe(3);
    expect(await exporter.round()).toBe(0);
    expect(await verify()).toMatchObject({ ok: true, records: 153 });
  });

  it("goes through a backlog of thousands in one round, without holding it in memory at once", async () => {
    for (let batch = 0; batch < 20; batch += 1)
      await Promise.all(Array.from({ length: 100 }, () => test.store.audit.append(5, { action: "lease.issued", principal: "github:1" })));
    expect(await test.exporter().round()).toBe(2000);
    expect(await verify()).toMatchObject({ ok: true, records: 2000 });
  });

  it("cuts nothing off when its disk fails so late that another has gone on in the same directory", async () => {
    let fail: (error: Error) => void = () => undefined;
    let hangs = false;
    const writer: DiskWriter = {
      append: (handle, data) => handle.appendFile(data),
      sync: (handle) => (hangs ? new Promise((_, reject) => (fail = reject)) : handle.datasync()),
    };
    const [one, two] = [test.exporter({ writer }), test.exporter()];
    await test.say(10);
    await one.round();
    hangs = true;
    await test.say(10);
    const late = one.round();
    await eventually("the second ten are written, and not yet synced", async () => (await lines()).length === 20);
    test.clock.advance({ seconds: 16 });
    await test.redis.client().del("stint:{meta}:exporter"); // for Redis, too, the lock has run out
    await test.say(10);
    expect(await two.round()).toBe(10);
    fail(new Error("EIO: i/o error"));
    await late;
    unhealthy(one, "EIO");
    expect(await numbers()).toEqual(upTo(30));
    expect(await waiting()).toBe(0);
    expect(await verify()).toMatchObject({ ok: true, records: 30 });
  });

  it("exports what waits when it is asked, though a round that looked before is still under way", async () => {
    let finish: () => void = () => undefined;
    let hangs = true;
    const writer: DiskWriter = {
      append: (handle, data) => handle.appendFile(data),
      sync: (handle) => (hangs ? new Promise((resolve) => (finish = resolve)) : handle.datasync()),
    };
    const exporter = test.exporter({ writer });
    await test.say(5);
    const first = exporter.round();
    await eventually("it waits for its disk", async () => (await lines()).length === 5);
    await test.say(2);
    const [second, third] = [exporter.round(), exporter.round()];
    hangs = false;
    finish();
    expect(await Promise.all([first, second, third])).toEqual([5, 2, 2]);
    expect(await waiting()).toBe(0);
  });

  it("names the keys beside the files, and a verifier can be made from that", async () => {
    await test.exporter().round();
    const text = await readFile(join(test.dir, "checkpoint-keys"), "utf8");
    expect(parseVerifier(text)?.id).toBe(test.keys.verifier.id);
  });

  it("is one broker's work at a time, and the next takes over where it left off", async () => {
    const [one, two] = [test.exporter(), test.exporter()];
    await test.say(10);
    expect(await one.round()).toBe(10);
    await test.say(5);
    expect(await two.round()).toBe(0);
    expect(two.status()).toMatchObject({ healthy: true });
    await one.close();
    expect(await two.round()).toBe(5);
    await test.say(1);
    await two.close();
    expect(await one.round()).toBe(1);
    expect(await verify()).toMatchObject({ ok: true, records: 16 });
  });

  it("of two brokers with a directory each makes one trail over both", async () => {
    await using other = await auditDirectory();
    const [one, two] = [test.exporter(), test.exporter({ dir: other.dir })];
    for (const exporter of [one, two, one, two]) {
      await test.say(70);
      await exporter.round();
      await exporter.close();
    }
    expect(await verify([test.dir, other.dir])).toMatchObject({ ok: true, records: 280 });
    expect((await verify([test.dir])).problems[0]?.kind).toBe("gap");
  });
});

describe("a broker that dies while it exports", () => {
  it.each(["sync", "checkpoint", "trim"])("before %s loses no record and writes none twice", async (stop) => {
    await test.say(40);
    const script = fileURLToPath(new URL("../../support/export-child.js", import.meta.url));
    const pem = test.keys.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    const child = spawn(process.execPath, ["--no-warnings", script, test.redis.url, test.dir, pem, stop], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    await test.store.audit.unlock("child"); // it would run out in fifteen seconds
    await test.say(7);
    const exporter = test.exporter();
    await exporter.round();
    expect(exporter.status()).toMatchObject({ healthy: true });
    expect(await numbers()).toEqual(upTo(47));
    expect(await waiting()).toBe(0);
    expect(await verify()).toMatchObject({ ok: true, records: 47, notes: [] });
  });
});

describe("issuing must stop", () => {
  it("when an append fails, until one succeeds; nothing is lost meanwhile", async () => {
    let full = true;
    const writer: DiskWriter = {
      append: (handle, data) => (full ? Promise.reject(new Error("ENOSPC: no space left on device")) : handle.appendFile(data)),
      sync: (handle) => handle.datasync(),
    };
    const exporter = test.exporter({ writer });
    await test.say(5);
    await exporter.round();
    unhealthy(exporter, "ENOSPC");
    full = false;
    expect(await exporter.round()).toBe(0);
    unhealthy(exporter, "ENOSPC");
    test.clock.advance({ seconds: 2 });
    expect(await exporter.round()).toBe(5);
    expect(exporter.status()).toMatchObject({ healthy: true });
    expect(await verify()).toMatchObject({ ok: true, records: 5 });
  });

  it("when the directory cannot be used, and goes on once it can", async () => {
    await mkdir(join(test.dir, "sub"), { mode: 0o755 });
    const exporter = test.exporter({ dir: join(test.dir, "sub") });
    await exporter.round();
    unhealthy(exporter, "others may use it");
    await chmod(join(test.dir, "sub"), 0o700);
    test.clock.advance({ seconds: 2 });
    await exporter.round();
    expect(exporter.status()).toMatchObject({ healthy: true });
  });

  it("when another broker exports and does not keep up", async () => {
    const [stuck, other] = [test.exporter(), test.exporter()];
    await stuck.round();
    await test.say(1);
    await other.round();
    expect(other.status()).toMatchObject({ healthy: true });
    test.clock.advance({ seconds: 61 });
    await other.round();
    unhealthy(other, "records have waited for 61 s");
    await stuck.round();
    await other.round();
    expect(other.status()).toMatchObject({ healthy: true });
  });

  it("when nobody has looked for a minute", async () => {
    const exporter = test.exporter();
    await exporter.round();
    test.clock.advance({ seconds: 61 });
    unhealthy(exporter, "nobody has looked");
  });

  it("but not for a moment's absence of the store", async () => {
    const exporter = test.exporter();
    await exporter.round();
    await test.redis.kill9();
    await exporter.round();
    expect(exporter.status()).toMatchObject({ healthy: true });
    test.clock.advance({ seconds: 61 });
    await exporter.round();
    expect(exporter.status()).toMatchObject({ healthy: false });
    await test.redis.restart();
    await eventually("it exports again", async () => {
      await exporter.round();
      return exporter.status().healthy;
    });
  });

  it("and a broker whose disk is bad lets another take over", async () => {
    await using good = await auditDirectory();
    const writer: DiskWriter = { append: () => Promise.reject(new Error("EIO")), sync: async () => undefined };
    const [bad, well] = [test.exporter({ writer }), test.exporter({ dir: good.dir })];
    await test.say(3);
    await bad.round();
    expect(await well.round()).toBe(3);
    test.clock.advance({ seconds: 2 });
    await bad.round();
    expect(bad.status()).toMatchObject({ healthy: true });
  });
});

describe("a store that has gone back", () => {
  const goBack = async (): Promise<Awaited<ReturnType<typeof openStore>>> => {
    await test.store.client.flushall();
    return openStore({ url: test.redis.url, clock: storeClock(fakeClock()) });
  };

  it("is seen from the files, and nothing is exported over what is there", async () => {
    await test.say(130);
    await test.exporter().round();
    const store = await goBack();
    const after = test.exporter({ stream: store.audit, storeId: store.id });
    const witness = await after.witness();
    expect(witness?.storeId).toBe(test.store.id);
    expect(witness?.sequences.slice(0, 3)).toEqual([3, 3, 2]);
    await store.audit.append(0, { action: "hold.set", principal: "broker" });
    await after.round();
    unhealthy(after, "The store has gone back: bucket 0 is at record 1, yet 3 were exported.");
    expect(await lines()).toHaveLength(130);
    await store.close();
  });

  it("is gone on from when an operator says so, and the files tell who did and why", async () => {
    await test.say(130);
    await test.exporter().round();
    const store = await goBack();
    const after = test.exporter({ stream: store.audit, storeId: store.id });
    await store.audit.append(0, { action: "hold.set", principal: "broker" });
    await after.accept("operator:ada", "restored from last night");
    expect(await after.witness()).toMatchObject({ storeId: store.id });
    expect(await after.round()).toBe(1);
    expect(after.status()).toMatchObject({ healthy: true });
    const report = await verify();
    expect(report).toMatchObject({ ok: true, records: 132 });
    expect(report.notes[0]).toContain("operator:ada let the files go on from store");
    await after.close();
    const restarted = test.exporter({ stream: store.audit, storeId: store.id });
    expect(await restarted.witness()).toMatchObject({ storeId: store.id });
    await store.audit.append(0, { action: "hold.cleared", principal: "operator:ada" });
    expect(await restarted.round()).toBe(1);
    expect(await verify()).toMatchObject({ ok: true, records: 133 });
    await store.close();
  });

  it("is told from a first start, which has no files", async () => {
    expect(await test.exporter().witness()).toBeUndefined();
  });
});

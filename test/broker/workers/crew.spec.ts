import cluster from "node:cluster";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createLogger } from "../../../broker/telemetry/logger.ts";
import { Crew } from "../../../broker/workers/crew.ts";
import { eventually } from "../../support/events.ts";

const TOY = join(import.meta.dirname, "../../support/toy-worker.js");

/** Longer than a worker that nobody needs would take to appear. */
const STEADY_MS = 600;

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a crew of two", () => {
  let folder: string;
  let crew: Crew;
  let log: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "stint-crew-"));
    log = "";
    const logger = createLogger({ level: "info", format: "json", write: (line) => (log += line) });
    crew = new Crew({ count: 2, exec: TOY, socketPath: join(folder, "told"), logger });
    await crew.start();
  });
  afterEach(async () => {
    await crew.stop();
    cluster.setupPrimary({ cwd: process.cwd() });
    rmSync(folder, { recursive: true, force: true });
  });

  /** Which workers have noted this, in order. */
  function noted(what: string): readonly number[] {
    const path = join(folder, "told");
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
    return lines.filter((line) => line.endsWith(` ${what}`)).map((line) => Number.parseInt(line, 10));
  }

  it("tells a worker that is still starting to reload, once it can hear", async () => {
    await eventually("the second is on its way", () => noted("begin").length === 2);
    expect(noted("serving")).toHaveLength(1);
    crew.reload();
    crew.reload();
    const second = await eventually("the second serves", () => noted("serving")[1]);
    await eventually("it was told", () => noted("reload").includes(second));
    expect(noted("reload").filter((pid) => pid === second)).toHaveLength(1);
  });

  it("tells a worker that is still starting to stop, once it can hear", async () => {
    await eventually("the second is on its way", () => noted("begin").length === 2);
    expect(noted("serving")).toHaveLength(1);
    const startedAt = performance.now();
    await crew.stop();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(new Set(noted("stop"))).toEqual(new Set(noted("begin")));
  });

  it("outlives a fork that fails, and tries again", async () => {
    await bothServe();
    cluster.setupPrimary({ cwd: join(folder, "nowhere") });
    const [victim = 0] = noted("serving");
    process.kill(victim, "SIGKILL");
    await eventually("it failed", () => log.includes("worker could not be started; it is tried again"));
    expect(log).toContain("ENOENT");
    cluster.setupPrimary({ cwd: process.cwd() });
    await eventually("a new one", () => noted("serving").length === 3);
  });

  it.each(["just before", "in the course of"])("replaces one that dies %s a roll", async (when) => {
    await bothServe();
    const [first = 0, second = 0] = noted("serving");
    if (when === "just before") {
      process.kill(first, "SIGKILL");
      await eventually("it is seen, and a pause comes before its successor", () => log.includes("worker ended; it is replaced"));
    }
    const rolling = crew.roll();
    if (when === "in the course of") {
      const successor = await eventually("a successor", () => noted("serving")[2]);
      await eventually("the next one is on its way", () => noted("begin").length === 4);
      process.kill(successor, "SIGKILL");
    }
    await rolling;
    const gone = new Set([first, second]);
    await eventually("two new ones", () => alive().length === 2 && alive().every((pid) => !gone.has(pid)));
    await pause(STEADY_MS);
    expect(alive()).toHaveLength(2);
  });

  const alive = () => noted("serving").filter(runs);
  const bothServe = () => eventually("both serve", () => noted("serving").length === 2);
});

import { once } from "node:events";
import { EventEmitter } from "node:events";
import { describe, expect, it } from "@jest/globals";
import { createSchedule, isCron, pause } from "../../../broker/sweeper/schedule.ts";

describe("the schedule", () => {
  it("runs a duty again after it failed, and tells of the failure", async () => {
    const told: string[] = [];
    const events = new EventEmitter();
    let runs = 0;
    await using schedule = createSchedule((name, error) => void told.push(`${name}: ${String(error)}`));
    schedule.every(1, {
      name: "export",
      run: async () => {
        runs += 1;
        if (runs === 1) throw new Error("disk full");
        events.emit("again");
      },
    });
    await once(events, "again");
    expect(told).toEqual(["export: Error: disk full"]);
  });

  it("asks what runs to stop, waits for it, and starts nothing more", async () => {
    const events = new EventEmitter();
    let finished = false;
    let runs = 0;
    const schedule = createSchedule(() => undefined);
    schedule.every(1, {
      name: "sweep",
      run: async (signal) => {
        runs += 1;
        events.emit("running");
        await once(signal, "abort");
        finished = true;
      },
    });
    await once(events, "running");
    await schedule.drain();
    expect([finished, runs]).toEqual([true, 1]);
  });

  it("takes cron expressions with seconds, and says which are none", () => {
    expect(isCron("* * * * * *")).toBe(true);
    expect(isCron("whenever")).toBe(false);
  });

  it("waits no longer than the signal lets it", async () => {
    const over = new AbortController();
    const waiting = pause(60_000, over.signal);
    over.abort();
    await expect(waiting).resolves.toBeUndefined();
  });
});

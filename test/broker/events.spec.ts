import { describe, expect, it } from "@jest/globals";
import { createEventBus } from "../../broker/events.ts";
import type { BrokerEvent } from "../../broker/services.ts";

describe("the events of a broker", () => {
  it("reach whoever listens, until they stop", () => {
    const bus = createEventBus(() => 7);
    const heard: BrokerEvent[] = [];
    const stop = bus.subscribe((event) => void heard.push(event));
    bus.publish("lease.issued", { lease: "x" });
    stop();
    bus.publish("lease.ended", { lease: "x" });
    expect(heard).toEqual([{ id: "7-1", at: 7, type: "lease.issued", data: { lease: "x" } }]);
  });

  it("are given again to one who comes back, from where it left", () => {
    const bus = createEventBus(() => 7);
    for (let count = 0; count < 1_500; count += 1) bus.publish("lease.issued", { count });
    const heard: string[] = [];
    bus.subscribe(({ id }) => void heard.push(id), "7-1498");
    expect(heard).toEqual(["7-1499", "7-1500"]);
    const late: string[] = [];
    bus.subscribe(({ id }) => void late.push(id), "7-1");
    expect(late).toEqual([]);
  });

  it("never wait for a listener that throws: it is dropped", () => {
    const bus = createEventBus(() => 7);
    let calls = 0;
    bus.subscribe(() => {
      calls += 1;
      throw new Error("gone");
    });
    bus.publish("a", {});
    bus.publish("b", {});
    expect(calls).toBe(1);
  });

  it("have a bounded number of listeners", () => {
    const bus = createEventBus(() => 7);
    for (let count = 0; count < 256; count += 1) bus.subscribe(() => undefined);
    expect(() => bus.subscribe(() => undefined)).toThrow(RangeError);
  });
});

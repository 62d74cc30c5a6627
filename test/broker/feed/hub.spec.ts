import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { PassThrough } from "node:stream";
import { Hub } from "../../../broker/feed/hub.ts";
import { BUCKETS } from "../../../domain/ids.ts";
import type { FeedStore } from "../../../store/api.ts";

const owner = { storeId: "0f3a9c11-2b4d-4e7f-8a10-5c6d7e8f9a0b", audience: "https://ship.shop.test" };
const LINGER_MS = 10_000;

/** A feed in which nothing happens; how often it was followed, and from when on that takes its time. */
function quiet() {
  const state = { begun: 0, stopped: 0, held: undefined as Promise<void> | undefined };
  const feed: FeedStore = {
    read: async (_bucket, after) => ({ entries: [], position: after, gap: false }),
    readMany: async (after) => new Map([...after].map(([bucket, position]) => [bucket, { entries: [], position, gap: false }])),
    skip: async () => undefined,
    positions: async () => Array.from({ length: BUCKETS }, () => 0),
    snapshot: async () => ({ entries: [], position: 0, nextCursor: undefined }),
    async hints() {
      state.begun += 1;
      await state.held;
      return async () => void (state.stopped += 1);
    },
  };
  return { feed, state };
}

describe("the hub, when readers come and go", () => {
  beforeEach(() => void jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate", "performance"] }));
  afterEach(() => void jest.useRealTimers());

  function world() {
    const { feed, state } = quiet();
    const hub = new Hub({
      storeId: owner.storeId,
      feed,
      now: () => Date.now(),
      policy: () => ({ grants: new Map() }) as never,
      issuers: new Map(),
      former: () => new Map(),
    });
    const read = () => {
      const sink = new PassThrough();
      let text = "";
      sink.on("data", (piece: Buffer) => (text += piece.toString()));
      hub.subscribe({ audience: owner.audience, from: undefined, sink, welcome: () => true });
      const close = (): Promise<void> => new Promise((resolve) => void sink.once("close", resolve).destroy());
      return { close, beats: () => text.split("event: sync").length - 1 };
    };
    return { hub, state, read };
  }

  it("goes on following for ten seconds after the last has gone, whoever left before", async () => {
    const { hub, state, read } = world();
    await hub.ready();
    await read().close();
    await jest.advanceTimersByTimeAsync(LINGER_MS - 1_000);
    await hub.ready();
    await read().close();
    await jest.advanceTimersByTimeAsync(LINGER_MS - 1_000);
    expect(state).toMatchObject({ begun: 1, stopped: 0 });
    await jest.advanceTimersByTimeAsync(1_000);
    expect(state).toMatchObject({ begun: 1, stopped: 1 });
    await hub.close();
  });

  it("starts again for whoever waited for a start that was stopped under it", async () => {
    const { hub, state, read } = world();
    let go = (): void => undefined;
    state.held = new Promise((resolve) => (go = resolve));
    const ready = hub.ready();
    await jest.advanceTimersByTimeAsync(LINGER_MS);
    go();
    await ready;
    const reader = read();
    await jest.advanceTimersByTimeAsync(3_000);
    expect(reader.beats()).toBeGreaterThanOrEqual(2);
    expect(state).toMatchObject({ begun: 2, stopped: 1 });
    await hub.close();
  });

  it("follows no more once it is closed", async () => {
    const { hub, state } = world();
    await hub.close();
    await hub.ready();
    expect(state.begun).toBe(0);
  });
});

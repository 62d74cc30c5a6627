import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { Cluster } from "ioredis";
import { connect, type Connection } from "../../store/connect.ts";
import { createKeeper } from "../../store/keep.ts";
import { createRunner, type Runner } from "../../store/run.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let connection: Connection;
let runner: Runner;
beforeAll(async () => {
  redis = await startRedis({});
  connection = await connect(redis.url);
  runner = createRunner(connection.client, { now: Date.now, agreed: () => true, offsetMs: () => 0 }, createKeeper(connection.client));
  await ask(1); // Redis knows the script from here on
});
afterAll(async () => {
  connection.client.disconnect();
  await redis.stop();
});

const ask = (count: number): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, (_, index) => runner.run("is-live", 5, { id: `none${index}`, key: "" })));

describe("scripts of requests that go side by side", () => {
  it("go to Redis sixteen at a time, so that it works while the rest is made", async () => {
    const writes = listenTo(socketOf(connection));
    await ask(40);
    expect(writes).toEqual([16, 16, 8]);
  });

  it("wait for nobody once their turn of the event loop is over", async () => {
    const writes = listenTo(socketOf(connection));
    const asked = ask(3);
    expect(writes).toEqual([]);
    await turn();
    expect(writes).toEqual([3]);
    await asked;
  });
});

function socketOf({ client }: Connection): Socket {
  if (client instanceof Cluster) throw new Error("one Redis was started");
  return client.stream;
}

/** How many commands each write to the kernel holds, from now on. */
function listenTo(socket: Socket): readonly number[] {
  const writes: number[] = [];
  const [one, many] = [socket._write.bind(socket), socket._writev?.bind(socket)];
  socket._write = (...args) => {
    writes.push(1);
    one(...args);
  };
  socket._writev = (chunks, done) => {
    writes.push(chunks.length);
    many?.(chunks, done);
  };
  return writes;
}

import type { Redis } from "ioredis";
import { startCluster } from "./cluster.ts";
import type { TestRedis } from "./redis.ts";
import { startSentinel } from "./sentinel.ts";

/** How several Redis servers may stand together beneath a broker, with replicas whose word is waited for. */
export const LAYOUTS = ["sentinel", "cluster"] as const;

/** One of them in place of a single Redis, for stories that only need a store; each test has one of its own. */
export async function startLayout(layout: string): Promise<TestRedis> {
  if (layout === "sentinel") {
    const sentinel = await startSentinel({ replicas: 1 });
    return { ...onlyAStore(sentinel), client: () => sentinel.client(), options: sentinel.options };
  }
  if (layout !== "cluster") throw new Error(`there is no layout ${layout}, only ${LAYOUTS.join(" and ")}`);
  return onlyAStore(await startCluster({ replicas: 1 }));
}

function onlyAStore(servers: AsyncDisposable & { readonly url: string; stop(): Promise<void> }): TestRedis {
  const never = (): never => {
    throw new Error("this test needs a single Redis of its own: unset STINT_TEST_REDIS_LAYOUT");
  };
  return {
    url: servers.url,
    socket: undefined,
    options: {},
    client: (): Redis => never(),
    kill9: never,
    pause: never,
    resume: never,
    restart: never,
    stop: () => servers.stop(),
    [Symbol.asyncDispose]: () => servers.stop(),
  };
}

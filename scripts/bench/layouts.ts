import { Redis } from "ioredis";
import { openStore } from "../../store/open.ts";
import { fakeClock } from "../../test/support/clock.ts";
import { startCluster } from "../../test/support/cluster.ts";
import { storeClock } from "../../test/support/orders.ts";
import { startRedis } from "../../test/support/redis.ts";
import { fill, SHORT_MS, trimAudit } from "./fill.ts";
import { figureOf, type Figure } from "./figures.ts";
import { sweepAll } from "./sweep-all.ts";

/** What Redis spends on a lease from its opening to its end, added up over all primaries, where the store stands on so many of them. */
export interface LayoutRow {
  readonly name: string;
  readonly primaries: number;
  readonly replicas: number;
  /** CPU of the primaries, microseconds a lease. */
  readonly cpuUs: Figure;
  /** Time inside scripts by Redis's own account, microseconds a lease. */
  readonly scriptUs: Figure;
  /** `WAIT`s a lease: what waits together is waited for once. */
  readonly waits: number;
  /** CPU to that of one Redis in the same round. */
  readonly ratio: Figure;
}

interface Layout extends AsyncDisposable {
  readonly name: string;
  readonly primaries: number;
  readonly replicas: number;
  round(leases: number): Promise<Spent>;
}

interface Spent {
  readonly cpuUs: number;
  readonly scriptUs: number;
  readonly waits: number;
}

/** Interleaved rounds on one Redis, on a Cluster of one, of three, and of three with replicas. */
export async function measureLayouts(options: {
  readonly rounds: number;
  readonly leases: number;
  readonly say: (text: string) => void;
}): Promise<readonly LayoutRow[]> {
  const layouts: Layout[] = [];
  try {
    layouts.push(await single());
    for (const [primaries, replicas] of [
      [1, 0],
      [3, 0],
      [3, 1],
    ] as const)
      layouts.push(await clustered(primaries, replicas));
    const spent = layouts.map((): Spent[] => []);
    for (const layout of layouts) await layout.round(options.leases); // scripts are known, tables have grown
    for (let round = 0; round < options.rounds; round += 1) {
      options.say(`layouts, round ${round + 1}`);
      for (const [index, layout] of layouts.entries()) spent[index]?.push(await layout.round(options.leases));
    }
    return layouts.map(({ name, primaries, replicas }, index) => {
      const rounds = spent[index] ?? [];
      return {
        name,
        primaries,
        replicas,
        cpuUs: figureOf(rounds.map(({ cpuUs }) => cpuUs)),
        scriptUs: figureOf(rounds.map(({ scriptUs }) => scriptUs)),
        waits: figureOf(rounds.map(({ waits }) => waits)).median,
        ratio: figureOf(rounds.map(({ cpuUs }, round) => cpuUs / (spent[0]?.[round]?.cpuUs ?? Number.NaN))),
      };
    });
  } finally {
    for (const layout of layouts) await layout[Symbol.asyncDispose]();
  }
}

async function single(): Promise<Layout> {
  const redis = await startRedis({ args: [] });
  return layoutOf("one Redis", 1, 0, redis.url, [Number(new URL(redis.url).port)], redis);
}

async function clustered(primaries: number, replicas: number): Promise<Layout> {
  const cluster = await startCluster({ primaries, replicas });
  const name = `Cluster of ${primaries}${replicas === 0 ? "" : `, ${replicas} replica each`}`;
  return layoutOf(name, primaries, replicas, cluster.url, cluster.ports, cluster);
}

async function layoutOf(
  name: string,
  primaries: number,
  replicas: number,
  url: string,
  ports: readonly number[],
  servers: AsyncDisposable,
): Promise<Layout> {
  const clock = fakeClock();
  const store = await openStore({ url, clock: storeClock(clock) });
  const admins = ports.map((port) => new Redis({ host: "127.0.0.1", port }));
  const cpu = async (): Promise<number> => {
    const infos = await Promise.all(admins.map((admin) => admin.info("cpu")));
    return sum(infos.map((info) => number(info, /used_cpu_user:([\d.]+)/) + number(info, /used_cpu_sys:([\d.]+)/))) * 1e6;
  };
  return {
    name,
    primaries,
    replicas,
    async round(leases) {
      await Promise.all(admins.map((admin) => admin.config("RESETSTAT")));
      const before = await cpu();
      await fill(store, clock, leases, SHORT_MS);
      clock.advance({ ms: SHORT_MS + 1_000 });
      await sweepAll(store, leases);
      const cpuUs = ((await cpu()) - before) / leases;
      const stats = await Promise.all(admins.map((admin) => admin.info("commandstats")));
      const scriptUs = sum(stats.map((text) => number(text, /cmdstat_evalsha:calls=\d+,usec=(\d+)/))) / leases;
      await trimAudit(store);
      return { cpuUs, scriptUs, waits: sum(stats.map((text) => number(text, /cmdstat_wait:calls=(\d+)/))) / leases };
    },
    async [Symbol.asyncDispose]() {
      for (const admin of admins) admin.disconnect();
      await store.close();
      await servers[Symbol.asyncDispose]();
    },
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const number = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);

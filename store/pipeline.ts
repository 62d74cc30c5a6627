import { Cluster, type ChainableCommander } from "ioredis";
import type { Place } from "./keyspace.ts";
import type { Runner } from "./run.ts";

/**
 * The same few commands on many places, in one trip (a Cluster: one trip a place, in parallel, because a pipeline goes to one node).
 * Answers the replies place by place; the first error fails the whole.
 */
export async function pipelined<P extends Place>(
  runner: Runner,
  places: readonly P[],
  add: (pipe: ChainableCommander, place: P) => void,
): Promise<unknown[][]> {
  return runner.ask(async (client) => {
    if (client instanceof Cluster) return Promise.all(places.map(async (place) => resultsOf(await fill(client.pipeline(), place).exec())));
    const pipe = client.pipeline();
    const lengths = places.map((place) => {
      const before = pipe.length;
      add(pipe, place);
      return pipe.length - before;
    });
    const results = resultsOf(await pipe.exec());
    let at = 0;
    return lengths.map((length) => results.slice(at, (at += length)));
  });

  function fill(pipe: ChainableCommander, place: P): ChainableCommander {
    add(pipe, place);
    return pipe;
  }
}

function resultsOf(replies: [Error | null, unknown][] | null): unknown[] {
  return (replies ?? []).map(([error, value]) => {
    if (error !== null) throw error;
    return value;
  });
}

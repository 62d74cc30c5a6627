import { once } from "node:events";
import { join } from "node:path";
import { OTHER_CORE, startNode, stopChild } from "./children.ts";
import type { Job, JobResult } from "./keep-alive.ts";

/** The load generator's process, seen from here. One job at a time. */
export interface Loader extends AsyncDisposable {
  run(job: Job): Promise<JobResult>;
}

type Said = { readonly ready: true } | { readonly result: JobResult } | { readonly error: string };

export async function startLoader(): Promise<Loader> {
  const child = startNode(join(import.meta.dirname, "load.js"), [], { core: OTHER_CORE, ipc: true });
  const said = async (): Promise<Said> => {
    const over = new AbortController();
    const gone = once(child, "exit", { signal: over.signal }).then(() => [{ error: "the load generator ended" }]);
    try {
      const [message] = (await Promise.race([once(child, "message", { signal: over.signal }), gone])) as [Said];
      return message;
    } finally {
      gone.catch(() => undefined);
      over.abort();
    }
  };
  await said();
  return {
    async run(job) {
      const answer = said();
      child.send(job);
      const message = await answer;
      if ("result" in message) return message.result;
      throw new Error("error" in message ? message.error : "the load generator said something else");
    },
    [Symbol.asyncDispose]: () => stopChild(child),
  };
}

import { randomUUID } from "node:crypto";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { presetClaims } from "./idp-claims.ts";
import type { TestIdp } from "./idp.ts";

/** What a steady load saw. */
export interface LoadReport {
  readonly asked: number;
  readonly issued: number;
  /** Never answered with a credential, however often it was sent. Each with the last thing that was said. */
  readonly failed: readonly string[];
  /** Sent again to the next broker because nobody listened at this one, or nobody accepted the new connection before its listener closed. */
  readonly refused: number;
  /** Sent again because a connection broke with the request on it, or because the answer was 503 or 429. */
  readonly resent: number;
  /** Why, each as it was said. */
  readonly causes: readonly string[];
  /** Every answer, those that were sent again included; status 0 where a connection broke or timed out. */
  readonly answers: readonly { readonly at: number; readonly ms: number; readonly status: number }[];
  /** Leases of all credentials; one that stands twice would be a request that took effect twice. */
  readonly leases: readonly string[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

export interface LoadOptions {
  /** Whom to ask, in turn. Kept-alive connections to each. */
  readonly brokers: readonly string[];
  readonly audience: string;
  readonly idp: TestIdp;
  readonly perSecond: number;
  readonly grant?: string;
  /** Claims of the n-th request. */
  readonly claims?: (count: number) => Readonly<Record<string, unknown>>;
  readonly timeoutMs?: number;
  /** Times that a request is sent at most; 8. */
  readonly attempts?: number;
}

/** A load that runs until it is stopped, or until whoever started it leaves its block. */
export interface Load extends AsyncDisposable {
  /** Asks nothing new, waits for what is under way, and reports. */
  stop(): Promise<LoadReport>;
  readonly issued: () => number;
}

/** A request is sent so often at most. */
const ATTEMPTS = 8;
/** Beyond this the load waits: what it measures then is no load but its own backlog. */
const MOST_UNDER_WAY = 2_000;

/** Nobody listened, or the listener was closed before it took the new connection. */
class Unaccepted extends Error {}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * The plainest client behind which brokers may be restarted: it takes them in turn, keeps connections open, and sends a request again
 * to the next one, with the same Idempotency-Key, where nothing was answered or the answer was 503.
 */
export function startLoad(options: LoadOptions): Load {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 16 });
  const over = new AbortController();
  const underWay = new Set<Promise<void>>();
  const seen = { asked: 0, refused: 0, resent: 0, failed: [] as string[], causes: [] as string[], leases: [] as string[] };
  const answers: { at: number; ms: number; status: number }[] = [];
  const took: number[] = [];

  async function one(count: number): Promise<void> {
    const { brokers, audience, idp, grant = "deploy", claims = () => ({}) } = options;
    const evidence = await idp.token(
      presetClaims("github", {
        iss: idp.issuer,
        aud: audience,
        repository_id: "456789",
        ref: "refs/heads/main",
        run_id: `${count}`,
        ...claims(count),
      }),
    );
    const body = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: evidence,
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      scope: `grant:${grant}`,
    }).toString();
    const key = randomUUID();
    const startedAt = performance.now();
    let last = "";
    for (let attempt = 0; attempt < (options.attempts ?? ATTEMPTS); attempt += 1) {
      const broker = brokers[(count + attempt) % brokers.length] ?? "";
      const at = performance.now();
      try {
        const { status, text } = await send(agent, `${broker}/oauth2/token`, body, key, options.timeoutMs ?? 5_000);
        last = `${status} ${text.slice(0, 200)}`;
        answers.push({ at, ms: performance.now() - at, status });
        if (status === 200) {
          took.push(performance.now() - startedAt);
          return void seen.leases.push((JSON.parse(text) as { readonly lease_id: string }).lease_id);
        }
        if (status !== 503 && status !== 429) break;
        seen.resent += 1;
        seen.causes.push(last);
      } catch (error) {
        last = String(error);
        answers.push({ at, ms: performance.now() - at, status: 0 });
        if (error instanceof Unaccepted) seen.refused += 1;
        else {
          seen.resent += 1;
          seen.causes.push(last);
        }
      }
      // as Retry-After says where there is one
      await pause(last.startsWith("429") || last.startsWith("503") ? 1_000 : 20);
    }
    seen.failed.push(last);
  }

  const startedAt = performance.now();
  const running = (async () => {
    while (!over.signal.aborted) {
      const due = Math.floor(((performance.now() - startedAt) * options.perSecond) / 1000);
      while (seen.asked < due && underWay.size < MOST_UNDER_WAY) {
        const work = one(seen.asked).finally(() => void underWay.delete(work));
        underWay.add(work);
        seen.asked += 1;
      }
      await pause(2);
    }
  })();

  const end = async (): Promise<void> => {
    over.abort();
    await running;
    await Promise.all(underWay);
    agent.destroy();
  };
  return {
    issued: () => seen.leases.length,
    async stop() {
      await end();
      const sorted = took.toSorted((a, b) => a - b);
      const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
      return { ...seen, answers, issued: seen.leases.length, p50Ms: at(0.5), p99Ms: at(0.99), longestMs: sorted.at(-1) ?? 0 };
    },
    [Symbol.asyncDispose]: end,
  };
}

function send(agent: Agent, url: string, body: string, key: string, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": Buffer.byteLength(body),
      "idempotency-key": `"${key}"`,
    };
    const sent = httpRequest(
      url,
      { method: "POST", agent, headers, signal: AbortSignal.timeout(timeoutMs) },
      (response: IncomingMessage) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      },
    );
    sent.on("error", (error: NodeJS.ErrnoException) => {
      const unaccepted = error.code === "ECONNREFUSED" || (error.code === "ECONNRESET" && !sent.reusedSocket);
      reject(unaccepted ? new Unaccepted(error.message) : error);
    });
    sent.end(body);
  });
}

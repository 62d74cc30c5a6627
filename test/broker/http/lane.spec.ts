import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { StintError } from "../../../domain/errors.ts";
import { Lane, type LaneLimits } from "../../../broker/http/lane.ts";
import { laneOf, whoAsks } from "../../../broker/http/lanes.ts";
import { ROUTES } from "../../../broker/http/routes.ts";

const LIMITS: LaneLimits = {
  free: 2,
  underWay: 8,
  perTrust: 6,
  perWorkload: 4,
  waiting: 12,
  waitingPerTrust: 8,
  waitingPerWorkload: 5,
  patienceMs: 60_000,
};

interface Asked {
  readonly done: (error?: Error) => void;
  readonly answer: Promise<string>;
}

/** A lane whose work is finished by hand. */
function crowd(limits: Partial<LaneLimits> = {}) {
  const lane = new Lane({ ...LIMITS, ...limits });
  const begun: string[] = [];
  const ask = (workload: string, trust = "t"): Asked => {
    let done: (error?: Error) => void = () => undefined;
    const work = new Promise<void>((resolve, reject) => (done = (error) => (error === undefined ? resolve() : reject(error))));
    const answer = lane
      .run(
        () => ({ trust, workload }),
        async () => {
          begun.push(workload);
          await work;
          return "served";
        },
      )
      .catch((error: unknown) => (error instanceof StintError ? error.code : String(error)));
    return { done: (error) => done(error), answer };
  };
  return { lane, begun, ask };
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));

describe("a lane under a crowd", () => {
  it("gives a noisy workload no more than its share, and refuses it the rest with 429", async () => {
    const { begun, ask } = crowd();
    const noisy = times(20, () => ask("noisy"));
    await settled();
    expect(begun).toHaveLength(2 + 4); // two came while there was room for anybody
    const codes = await Promise.all(noisy.slice(11).map(({ answer }) => answer));
    expect(codes).toEqual(times(9, () => "too_many_requests"));
    ask("quiet", "other");
    await settled();
    expect(begun.at(-1)).toBe("quiet");
  });

  it("lets those who wait in by turns, trust after trust and workload after workload", async () => {
    const { begun, ask } = crowd({ underWay: 3, free: 1 });
    const running = [ask("x", "x"), ask("y", "y"), ask("z", "z")];
    times(4, () => ask("a1", "a"));
    times(2, () => ask("a2", "a"));
    times(2, () => ask("b1", "b"));
    await settled();
    expect(begun).toEqual(["x", "y", "z"]);
    for (const one of running) one.done();
    await settled();
    expect(begun.slice(3)).toEqual(["a1", "b1", "a2"]);
  });

  it("refuses everybody with 503 when nobody else fits in", async () => {
    const { lane, ask } = crowd({ underWay: 4, perTrust: 4 });
    times(4, (index) => ask(`${index}`, `${index}`));
    await settled();
    times(12, (index) => ask(`w${index}`, `w${index}`));
    expect(lane.full).toBe(true);
    expect(await ask("late", "late").answer).toBe("overloaded");
  });

  it("does not let anybody wait longer than its patience", async () => {
    const { ask } = crowd({ underWay: 2, patienceMs: 20 });
    times(2, () => ask("busy"));
    expect(await ask("late", "late").answer).toBe("overloaded");
  });

  it("does not wait for a store that fails again and again, and does once it answers", async () => {
    const { begun, ask } = crowd({ free: 64, underWay: 64 });
    const down = new StintError("store_unavailable", "down");
    for (const one of times(8, () => ask("any"))) one.done(down);
    await settled();
    const triers = times(8, () => ask("trier"));
    await settled();
    expect(await ask("late").answer).toBe("store_unavailable");
    for (const one of triers) one.done();
    await settled();
    ask("again");
    await settled();
    expect(begun.at(-1)).toBe("again");
  });

  it("forgets nobody and exceeds nothing, whatever comes and goes", async () => {
    const step = fc.oneof(
      fc.record({ ask: fc.constantFrom("a", "b", "c", "d"), trust: fc.constantFrom("s", "t") }),
      fc.record({ finish: fc.nat(30) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const lane = new Lane(LIMITS);
        const open: (() => void)[] = [];
        const answers: Promise<unknown>[] = [];
        let underWay = 0;
        for (const one of steps) {
          if ("ask" in one) {
            const work = async (): Promise<void> => {
              underWay += 1;
              expect(underWay).toBeLessThanOrEqual(LIMITS.underWay);
              await new Promise<void>((resolve) => open.push(resolve));
              underWay -= 1;
            };
            answers.push(lane.run(() => ({ trust: one.trust, workload: one.ask }), work).catch(() => undefined));
          } else open.splice(one.finish % Math.max(1, open.length), 1)[0]?.();
          await settled();
        }
        while (open.length > 0) {
          open.shift()?.();
          await settled();
        }
        await Promise.all(answers);
        expect(underWay).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe("lanes of the routes", () => {
  it("keep giving out, ending, looking and operating apart, and probes out of all of them", () => {
    const by = (name: string | undefined): readonly string[] =>
      ROUTES.filter(({ method, path }) => laneOf(method, path) === name).map(({ method, path }) => `${method} ${path}`);
    expect(by("issue")).toEqual(["POST /oauth2/token", "POST /v1/tasks", "POST /v1/tasks/{id}/credentials", "POST /v1/leases/{id}/renew"]);
    expect(by("end")).toEqual(expect.arrayContaining(["POST /oauth2/revoke", "POST /v1/leases/{id}/release", "POST /v1/revocations"]));
    expect(by("look")).toEqual(expect.arrayContaining(["POST /oauth2/introspect", "POST /access/v1/evaluation"]));
    expect(laneOf("*", "/authz/nginx")).toBe("look");
    expect(by("operate")).toEqual(expect.arrayContaining(["GET /v1/leases", "GET /v1/audit"]));
    expect(by(undefined)).toEqual(expect.arrayContaining(["GET /livez", "GET /readyz", "GET /.well-known/jwks.json", "GET /v1/feed"]));
  });

  it("tell workloads apart by what their tokens say, and others by key or address", () => {
    const jwt = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
    const who = (body: unknown, authorization?: string) => whoAsks(body, authorization === undefined ? {} : { authorization }, "192.0.2.1");
    expect(who({ subject_token: jwt({ iss: "https://idp", sub: "repo:a" }) })).toEqual({ trust: "https://idp", workload: "repo:a" });
    expect(who(undefined, `Bearer ${jwt({ iss: "https://us", sub: "github:1", task_id: "task_1" })}`)).toEqual({
      trust: "github",
      workload: "github:1",
    });
    expect(who({ token: "e30.not json.x" })).toEqual({ trust: "192.0.2.1", workload: "192.0.2.1" });
    expect(who(undefined, "Basic abc").workload).toMatch(/^[\w-]{43}$/);
  });
});

import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { PermanentFailure, RetryableFailure } from "../../../domain/credential.ts";
import { isId, type LeaseId } from "../../../domain/ids.ts";
import type { IssuerKind } from "../../../domain/target.ts";
import { Secret } from "../../../domain/secret.ts";
import type { CrashTarget, Held, Stage, Verb, Wire } from "./target.ts";

type Answer = "made" | "revoked" | "already_gone";
interface Plan extends Held {
  readonly verb: Verb;
  readonly stage: Stage;
  /** The target comes past: stays until it is let go. Throws when it is to refuse. */
  pass(asker: (error: Error) => void, again: () => Promise<Answer>): Promise<void>;
}

/**
 * A file of users with the fence that a good target has: whoever was dropped once is never made again, and two deeds on one user
 * never overlap. Calls travel: a broker that dies has no part any more in what it sent.
 */
export function fencedFile(): CrashTarget {
  const folder = mkdtempSync(join(tmpdir(), "stint-fenced-"));
  const file = join(folder, "users");
  appendFileSync(file, "");
  const locks = new Map<LeaseId, Promise<void>>();
  let waiting = 0;
  const linesOf = (id: LeaseId): readonly string[] =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.endsWith(id))
      .map((line) => line.split(" ")[0] ?? "");

  const alone = async <T>(id: LeaseId, work: () => Promise<T>): Promise<T> => {
    const before = locks.get(id);
    let release: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => (release = resolve));
    locks.set(id, mine);
    if (before !== undefined) waiting += 1;
    await before;
    if (before !== undefined) waiting -= 1;
    try {
      return await work();
    } finally {
      if (locks.get(id) === mine) locks.delete(id);
      release();
    }
  };
  const deeds: Readonly<Record<Verb, (id: LeaseId) => Answer>> = {
    issue(id) {
      const known = linesOf(id);
      if (known.length > 0) throw new PermanentFailure("this lease has ended, or has its user already");
      appendFileSync(file, `make ${id}\n`);
      return "made";
    },
    revoke(id) {
      const known = linesOf(id);
      if (!known.includes("drop")) appendFileSync(file, `drop ${id}\n`);
      return known.includes("make") && !known.includes("drop") ? "revoked" : "already_gone";
    },
  };

  /** One request, from the moment it leaves the broker. What it returns is what the broker hears. */
  function send(verb: Verb, id: LeaseId, plan: Plan | undefined): Promise<Answer> {
    const run = (stop: (stage: Stage) => Promise<void>): Promise<Answer> =>
      stop("sent")
        .then(() =>
          alone(id, async () => {
            await stop("executing");
            return deeds[verb](id);
          }),
        )
        .then(async (answer) => {
          await stop("committed");
          return answer;
        });
    return new Promise((resolve, reject) => {
      const stop = async (stage: Stage): Promise<void> => {
        if (plan?.stage === stage) await plan.pass(reject, () => run(async () => undefined));
      };
      run(stop).then(resolve, reject);
    });
  }

  const alive = (): readonly LeaseId[] => {
    const users = new Set<LeaseId>();
    for (const line of readFileSync(file, "utf8").split("\n")) {
      const [deed, id] = line.split(" ");
      if (!isId("lease", id)) continue;
      if (deed === "make") users.add(id);
      else users.delete(id);
    }
    return [...users];
  };

  return {
    variables: {},
    alive: async () => alive(),
    opens: async ({ token }) => alive().some((lease) => token === `secret-of-${lease}`),
    contended: async () => waiting > 0,
    leave: async (lease) => void deeds.issue(lease),
    async connect() {
      let plans: Plan[] = [];
      const call = (verb: Verb, id: LeaseId): Promise<Answer> => {
        const plan = plans.find((each) => each.verb === verb);
        plans = plans.filter((each) => each !== plan);
        return send(verb, id, plan);
      };
      return {
        kind: kindOf(call, alive),
        documents: "issuer: fenced-file",
        async hold(verb, stage) {
          const plan = held(verb, stage);
          plans.push(plan);
          return plan;
        },
        die: () => undefined,
        [Symbol.asyncDispose]: async () => undefined,
      } satisfies Wire;
    },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

function held(verb: Verb, stage: Stage): Plan {
  let arrived: () => void = () => undefined;
  let letGo: () => void = () => undefined;
  let turnAway: (error: Error) => void = () => undefined;
  let tell: (error: Error) => void = () => undefined;
  let more: () => Promise<unknown> = async () => undefined;
  const reached = new Promise<void>((resolve) => (arrived = resolve));
  const gate = new Promise<void>((resolve, reject) => {
    letGo = resolve;
    turnAway = reject;
  });
  gate.catch(() => undefined); // heard of by whoever waits at it
  return {
    verb,
    stage,
    reached,
    pass(asker, again) {
      tell = asker;
      more = again;
      arrived();
      return gate;
    },
    deliver: letGo,
    cut: () => tell(new RetryableFailure("the connection broke")),
    refuse: async () => turnAway(new RetryableFailure("the target says that it failed")),
    again: async () => void (await more().catch(() => undefined)),
  };
}

const Params = z.strictObject({});

function kindOf(call: (verb: Verb, id: LeaseId) => Promise<Answer>, alive: () => readonly LeaseId[]): IssuerKind {
  return {
    kind: "fenced-file",
    settings: z.strictObject({}),
    revocation: () => "immediate",
    params: () => Params,
    open: () => ({
      kind: "fenced-file",
      params: Params,
      maxTtlMs: 3_600_000,
      revocation: "immediate",
      computesOnly: false,
      async issue({ leaseId }) {
        await call("issue", leaseId);
        return { credential: { type: "test", token: new Secret(`secret-of-${leaseId}`) }, handle: new Secret(leaseId) };
      },
      async revoke({ leaseId }) {
        return (await call("revoke", leaseId)) === "revoked" ? "revoked" : "already_gone";
      },
      async *list() {
        yield* alive();
      },
    }),
  };
}

import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import {
  PermanentFailure,
  RetryableFailure,
  type IssueOrder,
  type Issued,
  type Issuer,
  type RevokeOrder,
} from "../../domain/credential.ts";
import { isId, type LeaseId } from "../../domain/ids.ts";
import type { IssuerKind } from "../../domain/target.ts";
import { Secret } from "../../domain/secret.ts";

/** Where a call may go wrong. `after`: the target did it and the answer was lost, which the broker cannot tell from `before`. */
export const FAILPOINTS = ["before", "after", "slow", "permanent"] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/**
 * A target with an outside effect: a file of users, appended to, so that it survives whoever writes it and several processes may
 * share it. One line per deed; a user is there while the last line that names it says so.
 */
export interface TestTarget extends AsyncDisposable {
  readonly file: string;
  /** Lease ids whose user exists now. */
  alive(): Promise<readonly LeaseId[]>;
  /** How often a user was made or dropped for this lease, for counting effects. */
  deeds(lease: LeaseId): Promise<readonly string[]>;
  /** The next `times` calls of this verb go wrong this way. */
  fail(verb: "issue" | "revoke", how: Failpoint, times?: number): void;
  /** All calls of this verb go wrong until `heal`. */
  goDown(): void;
  heal(): void;
  /** A user appears as if this lease's maker had come late, or another store's broker had made it. */
  make(lease: LeaseId): Promise<void>;
  /** Somebody else removes the user. */
  removeBehindOurBack(lease: LeaseId): Promise<void>;
}

interface Plan {
  readonly verb: "issue" | "revoke";
  readonly how: Failpoint;
  left: number;
}

/** A target in a file (a new one, or one that another process also uses). */
export async function testTarget(file?: string): Promise<TestTarget & { readonly issuer: Issuer<TestParams> }> {
  const folder = file === undefined ? await mkdtemp(join(tmpdir(), "stint-target-")) : undefined;
  const path = file ?? join(folder ?? "", "users");
  let plans: Plan[] = [];
  let down = false;
  const next = (verb: "issue" | "revoke" | "list"): Failpoint | undefined => {
    if (down) return "before";
    const plan = plans.find((candidate) => candidate.verb === verb && candidate.left > 0);
    if (plan !== undefined) plan.left -= 1;
    return plan?.how;
  };
  return {
    file: path,
    alive: () => alive(path),
    deeds: async (lease) => (await lines(path)).filter(([, id]) => id === lease).map(([deed]) => deed),
    fail: (verb, how, times = 1) => void plans.push({ verb, how, left: times }),
    goDown: () => void (down = true),
    heal: () => {
      down = false;
      plans = [];
    },
    make: (lease) => append(path, "make", lease),
    removeBehindOurBack: (lease) => append(path, "drop", lease),
    issuer: fileIssuer(path, next),
    [Symbol.asyncDispose]: async () => {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

const TestParams = z.strictObject({ role: z.string().default("reader") });
export type TestParams = z.output<typeof TestParams>;

function fileIssuer(path: string, next: (verb: "issue" | "revoke" | "list") => Failpoint | undefined): Issuer<TestParams> {
  return {
    kind: "test",
    params: TestParams,
    maxTtlMs: 3_600_000,
    revocation: "immediate",
    computesOnly: false,
    issue: async (order: IssueOrder<TestParams>, signal: AbortSignal): Promise<Issued> => {
      await around(next("issue"), signal, () => append(path, "make", order.leaseId));
      return { credential: { type: "test", token: new Secret(`secret-of-${order.leaseId}`) }, handle: new Secret(order.leaseId) };
    },
    revoke: async (order: RevokeOrder, signal: AbortSignal) => {
      let answer: "revoked" | "already_gone" = "revoked";
      await around(next("revoke"), signal, async () => {
        if ((await alive(path)).includes(order.leaseId)) await append(path, "drop", order.leaseId);
        else answer = "already_gone";
      });
      return answer;
    },
    list: async function* () {
      if (next("list") !== undefined) throw new RetryableFailure("the target did not answer");
      yield* await alive(path);
    },
  };
}

/** One call to the target, going wrong as planned. */
async function around(how: Failpoint | undefined, signal: AbortSignal, effect: () => Promise<void>): Promise<void> {
  if (how === "before") throw new RetryableFailure("the target did not answer");
  if (how === "permanent") throw new PermanentFailure("the target refuses our credentials");
  if (how === "slow") {
    await pause(60_000, undefined, { signal }).catch(() => undefined);
    throw new RetryableFailure("the target took too long");
  }
  await effect();
  if (how === "after") throw new RetryableFailure("the target's answer was lost");
}

/** Whether the test credential opens the target now. */
export async function opens(target: TestTarget, token: string): Promise<boolean> {
  return (await target.alive()).some((lease) => token === `secret-of-${lease}`);
}

const append = (path: string, deed: "make" | "drop", lease: LeaseId): Promise<void> => appendFile(path, `${deed} ${lease}\n`);

async function lines(path: string): Promise<readonly (readonly [string, string])[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => [line.split(" ")[0] ?? "", line.split(" ")[1] ?? ""] as const);
}

async function alive(path: string): Promise<readonly LeaseId[]> {
  const users = new Set<LeaseId>();
  for (const [deed, id] of await lines(path)) {
    if (!isId("lease", id)) continue;
    if (deed === "make") users.add(id);
    else users.delete(id);
  }
  return [...users];
}

const TestSettings = z.strictObject({ file: z.string(), password: z.templateLiteral(["env:", z.string()]) });

/**
 * The same file as a kind of target: its settings name the file and a password, its credentials have several members, an asker may
 * bring a key, and it publishes what was revoked.
 */
export const testKind: IssuerKind<z.output<typeof TestSettings>, TestParams> = {
  kind: "test-file",
  settings: TestSettings,
  params: () => TestParams,
  revocation: () => "immediate",
  open({ settings: { file, password } }, ports) {
    const issuer = fileIssuer(file, () => undefined);
    return {
      ...issuer,
      kind: "test-file",
      place: file,
      knowsWhatItEnds: true,
      bearer: false,
      options: z.strictObject({ public_key: z.string().max(100).optional() }),
      async issue(order, signal) {
        const admin = await ports.secret(password);
        const { credential } = await issuer.issue(order, signal);
        return {
          credential: {
            type: "test_role",
            token: credential.token,
            member: "password",
            secrets: { private_key: admin },
            facts: {
              username: order.leaseId,
              role: order.params.role,
              public_key: JSON.stringify(order.options["public_key"] ?? null),
              type: "a lie",
            },
          },
        };
      },
      async revoke(order, signal) {
        await ports.revoked.add(order.leaseId, order.expiresAt);
        return issuer.revoke(order, signal);
      },
      documents: {
        list: {
          contentType: "text/plain",
          maxAge: 5,
          read: async () => Buffer.from((await ports.revoked.all()).entries.map(({ serial }) => serial).join("\n")),
        },
      },
    };
  },
};

/** This very issuer, failpoints and all, as a kind of target. */
export const fileKind = (issuer: Issuer<TestParams>): IssuerKind => ({
  kind: "file",
  settings: z.strictObject({ file: z.string() }),
  params: () => TestParams,
  revocation: () => "immediate",
  rotates: () => issuer.rotate !== undefined,
  open: () => ({ ...issuer, kind: "file" }),
});

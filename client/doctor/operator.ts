import type { TargetView } from "../../domain/wire.ts";
import { BrokerError } from "../errors.ts";
import type { OperatorClient } from "../operator-client.ts";
import { bad, count, leftOut, ok, warn, type Finding } from "./finding.ts";
import { judgeTarget } from "./targets.ts";

/** A page of these is enough to say that there are many. */
const MANY = 100;
/** A key signs for 30 days and the next is announced a day before: later than this, rotation has stopped. */
const KEY_OVERDUE_MS = 31 * 86_400_000;

/** What only an operator is told; `left_out` in one line where there is no token. */
export async function operated(operator: OperatorClient | undefined, now: number): Promise<readonly Finding[]> {
  if (operator === undefined)
    return [
      leftOut(
        "operator",
        "left out without an operator token: targets, stuck leases, hold, keys, locks, verifiers",
        "Set STINT_OPERATOR_TOKEN_FILE (a viewer's is enough): stint operator add NAME --role viewer",
      ),
    ];
  try {
    const me = await operator.whoami();
    if (me.kind !== "operator")
      return [bad("operator", "the token is no operator's", { next: "Set STINT_OPERATOR_TOKEN_FILE to one that is." })];
    const known = ok("operator", `${me.name}, ${me.role}`);
    const parts = [targets, stuck, hold, keys, locks, verifiers].map((look) => looked(look, operator, now));
    return [known, ...(await Promise.all(parts)).flat()];
  } catch (error) {
    return [
      bad("operator", `the operator token is not accepted (${error instanceof BrokerError ? error.code : "no answer"})`, {
        why: error instanceof Error ? error.message : "",
        next: "Its line may be missing from STINT_OPERATOR_TOKENS_FILE, or the broker has not read it anew: send it SIGHUP.",
      }),
    ];
  }
}

type Look = (operator: OperatorClient, now: number) => Promise<readonly Finding[]>;

async function looked(look: Look, operator: OperatorClient, now: number): Promise<readonly Finding[]> {
  try {
    return await look(operator, now);
  } catch (error) {
    return [
      bad(look.name, `cannot be listed (${error instanceof BrokerError ? error.code : "no answer"})`, {
        next: "Run it again; the broker's log has the reason.",
      }),
    ];
  }
}

async function targets(operator: OperatorClient, now: number): Promise<readonly Finding[]> {
  const { items } = await operator.targets();
  if (items.length === 0) return [ok("targets", "there is none: everything is signed here")];
  return items.flatMap((one: TargetView) => judgeTarget(one, now));
}

async function stuck(operator: OperatorClient): Promise<readonly Finding[]> {
  const { items } = await operator.leases({ state: "stuck", limit: MANY });
  const [first] = items;
  if (first === undefined) return [ok("stuck", "no lease is stuck")];
  const many = items.length >= MANY ? `${MANY} leases or more are stuck` : `${count(items.length, "lease is", "leases are")} stuck`;
  return [
    bad("stuck", `${many}, for example ${first.id} (${first.issuer})`, {
      why: `What they opened may still be alive. It says: ${first.last_error ?? "nothing"}`,
      next: `Mend the target and they end by themselves. Is it gone for good: stint lease close ${first.id} --reason WHY`,
    }),
  ];
}

async function hold(operator: OperatorClient): Promise<readonly Finding[]> {
  const { held, reason, waiting, clock_ahead_ms: ahead } = await operator.hold();
  if (held)
    return [
      bad("hold", `on hold, ${count(waiting.length, "revocation waits", "revocations wait")} at targets`, {
        why: reason ?? "The store has gone back in time.",
        next: "stint hold show, then stint target reconcile TARGET for each, or: stint hold clear --reason WHY",
      }),
    ];
  if (ahead !== null)
    return [
      warn("hold", `the store's time stands ${Math.round(ahead / 1000)} s ahead`, {
        why: "Redis's clock once ran ahead: what is opened until then may be taken for revoked.",
        next: "stint hold clear --reason 'clock set back'",
      }),
    ];
  return [];
}

async function keys(operator: OperatorClient, now: number): Promise<readonly Finding[]> {
  const { items } = await operator.keys();
  // the key of the audit's checkpoints signs no token, and has no end
  const active = items.filter(({ state, alg }) => state === "active" && alg !== "Ed25519");
  if (active.length === 0)
    return [bad("keys", "no signing key is active", { next: "stint keys rotate --now, with the master key that the store knows" })];
  const old = active.find(({ active_at: at }) => at !== null && now - Date.parse(at) > KEY_OVERDUE_MS);
  if (old !== undefined)
    return [
      warn("keys", `the ${old.alg} key has signed since ${(old.active_at ?? "").slice(0, 10)}`, {
        why: "Brokers rotate every 30 days by themselves: this one does not.",
        next: "Look for failures of the duty in the log (stint_duty_failures_total), then: stint keys rotate",
      }),
    ];
  const withdrawn = items.filter(({ state }) => state === "withdrawn").length;
  return [ok("keys", `${active.map(({ alg }) => alg).join(", ")} sign${withdrawn === 0 ? "" : `; ${withdrawn} withdrawn`}`)];
}

async function locks(operator: OperatorClient): Promise<readonly Finding[]> {
  const { items } = await operator.locks();
  const all = items.find(({ selector }) => "all" in selector);
  if (all !== undefined)
    return [
      warn("locks", `everything is locked until ${all.until}`, { why: all.reason, next: `When it is over: stint lock rm ${all.id}` }),
    ];
  return [ok("locks", items.length === 0 ? "nothing is locked" : `${count(items.length, "lock")}; stint lock ls names them`)];
}

async function verifiers(operator: OperatorClient): Promise<readonly Finding[]> {
  const { items } = await operator.verifiers();
  const feeding = items.filter(({ checks }) => checks === "feed");
  const stale = feeding.flatMap(({ name, instances }) => instances.filter((one) => one.stale).map(({ instance }) => `${name}/${instance}`));
  if (stale.length > 0)
    return [
      warn("verifiers", `${count(stale.length, "instance has", "instances have")} no fresh news: ${stale.slice(0, 3).join(", ")}`, {
        why: "By their own limit they deny everything now.",
        next: "Can they reach /v1/feed? A proxy before the broker must not buffer it.",
      }),
    ];
  const silent = feeding.filter(({ instances }) => instances.length === 0).map(({ name }) => name);
  if (silent.length > 0)
    return [
      warn("verifiers", `nobody reads the feed as ${silent.slice(0, 3).join(", ")}`, {
        why: "The documents promise that these are told of revocations.",
        next: "Start the API, or correct its name and key; where it does not read the feed, say so in the Verifier's checks.",
      }),
    ];
  return [ok("verifiers", items.length === 0 ? "none is registered" : `${count(items.length, "verifier")}, none behind`)];
}

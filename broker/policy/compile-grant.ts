import type { z } from "zod";
import { parseDuration } from "../../domain/time.ts";
import { foldsCase, isAnchor } from "../attestation/presets.ts";
import type { When } from "../../actions/cel.ts";
import { compileWhen } from "./when.ts";
import type { RevocationClass } from "../../domain/lease.ts";
import { classByVerifiers } from "./checked-by.ts";
import { claimKey, compileCondition, type Condition } from "./conditions.ts";
import { DEFAULT_TTL_MS, type GrantDocument, type RuleDocument } from "./document.ts";
import { suggestion } from "./nearest.ts";
import type { Grant, GrantIssue, PresetName, Target, Verifier } from "./policy.ts";
import { parseWith, type Complaints } from "./problems.ts";
import type { GrantRules, Rule, TrustRules } from "./rules.ts";

/** What a grant may refer to. */
export interface GrantWorld {
  readonly stintUrl: string;
  /** `params` of each kind of credential the broker can issue. */
  readonly issuers: Readonly<Record<string, z.ZodType>>;
  /** Presets of the trusts that compiled; `trustNames` also holds those that did not. */
  readonly presets: ReadonlyMap<string, PresetName>;
  readonly trustNames: readonly string[];
  readonly verifiers: ReadonlyMap<string, Verifier>;
  readonly targets: ReadonlyMap<string, Target>;
  /** Names of all targets, also of those that cannot be used. */
  readonly targetNames: readonly string[];
}

/** Compiles a grant and complains of everything wrong with it; undefined when it cannot be used. */
export function compileGrant(document: GrantDocument, world: GrantWorld, complaints: Complaints): GrantRules | undefined {
  const issue = compileIssue(document, world, complaints);
  if (document.mode === "audit" && (document.sensitivity === "high" || document.sensitivity === "critical")) {
    complaints.add(["mode"], `mode audit is not for a grant of ${document.sensitivity} sensitivity`, {
      help: "use mode: enforce, or lower the sensitivity",
    });
  }
  const rules = compileRules(document, world, complaints);
  if (issue === undefined) return undefined;
  const grant: Grant = {
    name: document.name,
    owner: document.owner,
    description: document.description,
    sensitivity: document.sensitivity ?? "medium",
    mode: document.mode ?? "enforce",
    issue,
    revocation: classOf(issue, world),
    limits: { active: document.limits?.active, perHour: document.limits?.per_hour },
  };
  return { grant, ground: JSON.stringify([document.allow ?? [], document.deny ?? []]), ...rules };
}

function compileIssue(document: GrantDocument, world: GrantWorld, complaints: Complaints): GrantIssue | undefined {
  const { issuer: named, target, ttl, max_ttl: maxTtl, ...params } = document.issue;
  const found = issuerOf(named, target, world, complaints);
  const ttlMs = ttl === undefined ? defaultTtl(maxTtl) : (parseDuration(ttl) ?? DEFAULT_TTL_MS);
  const maxTtlMs = maxTtl === undefined ? ttlMs : (parseDuration(maxTtl) ?? ttlMs);
  if (maxTtlMs < ttlMs)
    complaints.add(["issue", "max_ttl"], "max_ttl is shorter than ttl", {
      help: "ttl is what one gets unasked; max_ttl is what may be asked",
    });
  if (found === undefined) return undefined;
  const { issuer, schema } = found;
  const parsed = parseWith(schema, params, complaints, ["issue"]).value;
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const audience = document.issue.audience;
  if (audience !== undefined && bare(audience) === bare(world.stintUrl)) {
    complaints.add(["issue", "audience"], "the broker's own URL (STINT_URL) cannot be a grant's audience", {
      help: "tokens for the broker itself are task tokens; name the resource server this credential is for",
    });
  }
  return { issuer, audience, scope: [...new Set(document.issue.scope ?? [])], ttlMs, maxTtlMs, params: { ...parsed } };
}

/** A target's issuer says so itself; what is signed here dies as its verifiers check. */
function classOf({ issuer, audience }: GrantIssue, { targets, verifiers }: GrantWorld): RevocationClass {
  const target = targets.get(issuer);
  return target === undefined ? classByVerifiers(audience, verifiers.values()) : target.kind.revocation(target.settings);
}

const bare = (url: string): string => url.replace(/\/+$/, "").toLowerCase();
const defaultTtl = (maxTtl: string | number | undefined): number =>
  Math.min(DEFAULT_TTL_MS, maxTtl === undefined ? DEFAULT_TTL_MS : (parseDuration(maxTtl) ?? DEFAULT_TTL_MS));

/** The name that leases will carry, and the schema of what else stands under `issue`. */
function issuerOf(
  named: string | undefined,
  target: string | undefined,
  world: GrantWorld,
  complaints: Complaints,
): { readonly issuer: string; readonly schema: z.ZodType } | undefined {
  if ((named === undefined) === (target === undefined)) {
    complaints.add(["issue"], named === undefined ? "says neither issuer nor target" : "says both issuer and target", {
      help: "write one of them, for example issuer: jwt",
    });
    return undefined;
  }
  if (named !== undefined) {
    const schema = Object.hasOwn(world.issuers, named) ? world.issuers[named] : undefined;
    if (schema !== undefined) return { issuer: named, schema };
    complaints.add(["issue", "issuer"], `there is no issuer "${named}"`, { help: suggestion(named, Object.keys(world.issuers)) });
    return undefined;
  }
  const found = world.targets.get(target ?? "");
  if (found !== undefined) return { issuer: found.name, schema: found.kind.params(found.settings) };
  // A target that is there and cannot be used was complained of already.
  if (!world.targetNames.includes(target ?? ""))
    complaints.add(["issue", "target"], `there is no target "${target ?? ""}"`, { help: suggestion(target ?? "", world.targetNames) });
  return undefined;
}

type Compiled = Omit<GrantRules, "grant" | "ground">;

function compileRules(document: GrantDocument, world: GrantWorld, complaints: Complaints): Compiled {
  const written: Compiled["written"][number][] = [];
  const byTrust = new Map<string, { allow: Rule[]; deny: Rule[] }>();
  const entries = [
    ...document.allow.map((rule, index) => ({ rule: rule as RuleDocument, effect: "allow" as const, index })),
    ...(document.deny ?? []).map((rule, index) => ({ rule, effect: "deny" as const, index })),
  ];
  for (const { rule } of entries)
    if (rule.trust !== undefined && !byTrust.has(rule.trust)) byTrust.set(rule.trust, { allow: [], deny: [] });
  for (const { rule, effect, index } of entries) {
    const path = [effect, index] as const;
    const head = {
      id: `${document.name}.${effect}[${index}]`,
      effect,
      file: complaints.located.file,
      line: complaints.located.place(path).line,
    };
    written.push({ ...head, trust: rule.trust });
    checkRule(rule, path, world, complaints);
    const when = rule.when === undefined ? undefined : compiledWhen(rule.when, [...path, "when"], complaints);
    // Which preset a condition is compared by depends on the trust: a rule for any trust is compiled for each that the grant knows.
    const trusts = rule.trust === undefined ? [...byTrust.keys()] : [rule.trust];
    const byPreset = new Map<PresetName, Rule | undefined>();
    for (const trust of trusts) {
      const preset = world.presets.get(trust) ?? "generic";
      if (!byPreset.has(preset)) byPreset.set(preset, compileRule(rule, head, preset, when, byPreset.size === 0 ? complaints : undefined));
      const compiled = byPreset.get(preset);
      if (compiled !== undefined) byTrust.get(trust)?.[effect].push(compiled);
    }
  }
  return {
    written,
    byTrust: new Map([...byTrust].filter(([, rules]) => rules.allow.length > 0)) satisfies ReadonlyMap<string, TrustRules>,
  };
}

function checkRule(rule: RuleDocument, path: readonly (string | number)[], world: GrantWorld, complaints: Complaints): void {
  if (rule.trust !== undefined && !world.trustNames.includes(rule.trust)) {
    complaints.add([...path, "trust"], `there is no trust "${rule.trust}"`, { help: suggestion(rule.trust, world.trustNames) });
  }
  const empty = Object.keys(rule.claims ?? {}).length === 0 && rule.when === undefined;
  if (empty && (path[0] === "allow" || rule.trust === undefined)) {
    complaints.add(path, path[0] === "allow" ? "allows whatever the trust vouches for" : "denies everything", {
      help: "name at least one condition under claims, or a when",
    });
  }
}

function compiledWhen(source: string, path: readonly (string | number)[], complaints: Complaints): When | undefined {
  const when = compileWhen(source);
  if (!("error" in when)) return when;
  complaints.add(path, `when: ${when.error} (character ${when.offset + 1})`, { offset: when.offset });
  return undefined;
}

type Head = Pick<Rule, "id" | "effect" | "file" | "line">;

function compileRule(
  rule: RuleDocument,
  head: Head,
  preset: PresetName,
  when: When | undefined,
  complaints: Complaints | undefined,
): Rule | undefined {
  const conditions: Condition[] = [];
  let sound = rule.when === undefined || when !== undefined;
  for (const [name, wanted] of Object.entries(rule.claims ?? {})) {
    const anchor = head.effect === "allow" && isAnchor(preset, claimKey(name));
    const compiled = compileCondition(name, wanted, { foldCase: foldsCase(preset, claimKey(name)), effect: head.effect, anchor });
    if (typeof compiled === "string") {
      sound = false;
      const index = Number(/\[(\d+)\]$/.exec(head.id)?.[1] ?? 0);
      complaints?.add([head.effect, index, "claims", name], compiled);
    } else conditions.push(compiled);
  }
  if (!sound) return undefined;
  const ordered = [...conditions.filter(({ anchor }) => anchor), ...conditions.filter(({ anchor }) => !anchor)];
  return { ...head, conditions: ordered, anchors: conditions.filter(({ anchor }) => anchor).length, when };
}

import { createHash } from "node:crypto";
import { canonicalize } from "json-canonicalize";
import type { z } from "zod";
import { compileRoutes, type Routes } from "../../actions/routes.ts";
import type { Problem } from "../../domain/errors.ts";
import type { IssuerKind } from "../../domain/target.ts";
import { parseDuration } from "../../domain/time.ts";
import { compileGrant, type GrantWorld } from "./compile-grant.ts";
import { compileTargets } from "./compile-target.ts";
import { compileTrust } from "./compile-trust.ts";
import {
  DOCUMENTS,
  type AnyDocument,
  type GrantDocument,
  type Kind,
  type SettingsDocument,
  type TargetDocument,
  type TrustDocument,
  type VerifierDocument,
} from "./document.ts";
import { suggestion } from "./nearest.ts";
import type { Grant, Policy, PolicySettings, Target, Trust, Verifier } from "./policy.ts";
import { complaintsOf, parseWith, type Complaints } from "./problems.ts";
import type { GrantRules, TrustRules } from "./rules.ts";
import type { Located } from "./yaml.ts";

/** What loading knows besides the documents. */
export interface PolicyContext {
  /** Default audience of trusts, and never a grant's. */
  readonly stintUrl: string;
  /** Kinds of credential the broker can issue, each with the schema of its own settings under `issue`. */
  readonly issuers: Readonly<Record<string, z.ZodType>>;
  /** Kinds that are made at targets. */
  readonly kinds: ReadonlyMap<string, IssuerKind>;
  /** Milliseconds; days of review are compared with it. */
  readonly now: number;
}

/** A policy with its rules. `decide` knows it from any other object that looks like a policy, and denies for those. */
export class CompiledPolicy implements Policy {
  readonly version: string;
  readonly trusts: ReadonlyMap<string, Trust>;
  readonly grants: ReadonlyMap<string, Grant>;
  readonly verifiers: ReadonlyMap<string, Verifier>;
  readonly targets: ReadonlyMap<string, Target>;
  readonly settings: PolicySettings;
  readonly problems: readonly Problem[];
  readonly rules: ReadonlyMap<string, GrantRules>;
  readonly byAudience: ReadonlyMap<string, readonly Grant[]>;
  /** Rules whose anchors are tried, and the outcome thrown away, where there is no grant: so that both take alike. */
  readonly decoys: ReadonlyMap<string, TrustRules>;

  constructor(
    parts: Pick<CompiledPolicy, "version" | "trusts" | "verifiers" | "targets" | "settings" | "problems"> & {
      readonly rules: readonly GrantRules[];
    },
  ) {
    this.version = parts.version;
    this.trusts = parts.trusts;
    this.verifiers = parts.verifiers;
    this.targets = parts.targets;
    this.settings = parts.settings;
    this.problems = parts.problems;
    this.rules = new Map(parts.rules.map((rules) => [rules.grant.name, rules]));
    this.grants = new Map(parts.rules.map(({ grant }) => [grant.name, grant]));
    const byAudience = new Map<string, Grant[]>();
    const decoys = new Map<string, TrustRules>();
    for (const { grant, byTrust } of parts.rules) {
      if (grant.issue.audience !== undefined)
        byAudience.set(grant.issue.audience, [...(byAudience.get(grant.issue.audience) ?? []), grant]);
      for (const [trust, rules] of byTrust) if (!decoys.has(trust)) decoys.set(trust, rules);
    }
    this.byAudience = byAudience;
    this.decoys = decoys;
  }
}

/** A document whose shape is sound, with where it was written. */
export interface Checked<T extends AnyDocument = AnyDocument> {
  readonly document: T;
  readonly complaints: Complaints;
}

/** Everything that was compiled, and the documents it came from. */
export interface Compilation {
  readonly policy: CompiledPolicy;
  readonly trusts: readonly Checked<TrustDocument>[];
  readonly grants: readonly Checked<GrantDocument>[];
  readonly verifiers: readonly Checked<VerifierDocument>[];
  readonly settings: PolicySettings;
  readonly all: readonly Checked[];
}

/** Checks the shape of every document, then what they say of each other, and compiles. Mistakes go to `problems`; with any error the result must not be used. */
export function compile(located: readonly Located[], context: PolicyContext, problems: Problem[]): Compilation {
  const { checked, names } = checkShapes(located, problems);
  const of = <T extends AnyDocument>(kind: Kind): Checked<T>[] => checked.filter((item): item is Checked<T> => item.document.kind === kind);
  const trustDocuments = of<TrustDocument>("Trust");
  const trusts = new Map<string, Trust>();
  for (const { document, complaints } of trustDocuments) {
    const trust = compileTrust(document, context.stintUrl, complaints);
    if (trust !== undefined) trusts.set(trust.name, trust);
  }
  refuseSharedTrust(trustDocuments, trusts);
  const targets = compileTargets(of<TargetDocument>("Target"), context);
  const verifierDocuments = of<VerifierDocument>("Verifier");
  const version = versionOf(checked);
  const verifiers = new Map(verifierDocuments.map((item) => [item.document.name, compileVerifier(item, version)]));
  const world: GrantWorld = {
    stintUrl: context.stintUrl,
    issuers: context.issuers,
    presets: new Map([...trusts].map(([name, { preset }]) => [name, preset])),
    trustNames: [...(names.get("Trust") ?? [])],
    verifiers,
    targets,
    targetNames: [...(names.get("Target") ?? [])],
  };
  const grantDocuments = of<GrantDocument>("Grant");
  const rules = grantDocuments.flatMap(({ document, complaints }) => compileGrant(document, world, complaints) ?? []);
  const settings = compileSettings(of<SettingsDocument>("Settings")[0]?.document);
  const policy = new CompiledPolicy({ version, trusts, verifiers, targets, settings, problems, rules });
  return { policy, trusts: trustDocuments, grants: grantDocuments, verifiers: verifierDocuments, settings, all: checked };
}

function checkShapes(located: readonly Located[], problems: Problem[]): { checked: Checked[]; names: Map<Kind, Set<string>> } {
  const checked: Checked[] = [];
  const names = new Map<Kind, Set<string>>();
  for (const [index, one] of located.entries()) {
    const value = one.value as Readonly<Record<string, unknown>> | null;
    const title = typeof value === "object" && typeof value?.["name"] === "string" ? value["name"].slice(0, 63) : `document ${index + 1}`;
    const complaints = complaintsOf(one, title, problems);
    const kind = kindOf(value, complaints);
    if (kind === undefined) continue;
    const seen = names.get(kind) ?? new Set<string>();
    names.set(kind, seen);
    if (seen.has(title))
      complaints.add(["name"], `there is another ${kind} named "${title}"`, { help: "names are unique among documents of one kind" });
    seen.add(title);
    const parsed = parseWith<AnyDocument>(DOCUMENTS[kind], value, complaints);
    if (parsed.value !== undefined) checked.push({ document: parsed.value, complaints });
  }
  return { checked, names };
}

function kindOf(value: unknown, complaints: Complaints): Kind | undefined {
  const kinds = Object.keys(DOCUMENTS);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return void complaints.add([], "is not a document: expected a mapping that begins with kind:");
  const kind = (value as Readonly<Record<string, unknown>>)["kind"];
  if (typeof kind === "string" && kinds.includes(kind)) return kind as Kind;
  if (kind === undefined) return void complaints.add([], '"kind" is missing', { help: `expected one of ${kinds.join(", ")}` });
  return void complaints.add(["kind"], `there is no kind ${JSON.stringify(kind)}`, {
    help: suggestion(typeof kind === "string" ? kind : "", kinds),
  });
}

/** One issuer and audience must mean one trust: two would be two names, and two ids, for the same evidence. */
function refuseSharedTrust(documents: readonly Checked<TrustDocument>[], trusts: ReadonlyMap<string, Trust>): void {
  const owners = new Map<string, string>();
  for (const { document, complaints } of documents) {
    for (const audience of trusts.get(document.name)?.audiences ?? []) {
      const key = JSON.stringify([document.oidc.issuer, audience]);
      const other = owners.get(key);
      if (other !== undefined && other !== document.name) {
        complaints.add(["oidc"], `trust "${other}" already has this issuer and audience (${audience})`, {
          help: "one issuer and audience belong to one trust; tell callers apart in grants",
        });
      } else owners.set(key, document.name);
    }
  }
}

function compileVerifier({ document, complaints }: Checked<VerifierDocument>, version: string): Verifier {
  const checks = document.checks ?? "none";
  const keys = document.key === undefined ? [] : typeof document.key === "string" ? [document.key] : document.key;
  if (keys.length === 0 && (checks === "feed" || checks === "introspection")) {
    complaints.add([], `a verifier that checks by ${checks} needs a key`, { help: "make one with: stint verifier add NAME" });
  }
  return {
    name: document.name,
    audience: document.audience,
    keyHashes: keys.map((key) => key.slice("sha256:".length)),
    checks,
    ...(document.routes === undefined ? {} : { routes: document.routes, actions: actionsOf(document, complaints, version) }),
  };
}

function actionsOf({ name, routes = [] }: VerifierDocument, complaints: Complaints, version: string): Routes {
  const { file } = complaints.located;
  const placeOf = (index: number) => ({ file, line: complaints.located.place(["routes", index]).line });
  const compiled = compileRoutes(name, routes, version, placeOf);
  for (const { index, at, message, ...more } of compiled.faults) complaints.add(["routes", index, ...at], message, more);
  return compiled.routes;
}

function compileSettings(document: SettingsDocument | undefined): PolicySettings {
  return {
    lint: document?.lint ?? "error",
    implicitTaskTtlMs: parseDuration(document?.tasks?.implicit_ttl ?? "6h") ?? 21_600_000,
    retentionMs: parseDuration(document?.retention ?? "7d") ?? 604_800_000,
  };
}

/** The same documents in any order and layout have the same version. */
function versionOf(checked: readonly Checked[]): string {
  const texts = checked.map(({ document }) => canonicalize(document)).toSorted();
  return `sha256:${createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, 16)}`;
}

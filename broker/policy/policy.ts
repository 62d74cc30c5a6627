import type { RouteDocument, Routes } from "../../actions/routes.ts";
import type { Problem } from "../../domain/errors.ts";
import type { RevocationClass } from "../../domain/lease.ts";
import type { Claims } from "../../domain/principal.ts";
import type { IssuerKind, OpenTarget } from "../../domain/target.ts";

export const PRESETS = ["github", "gitlab", "buildkite", "circleci", "kubernetes", "google", "azure", "spiffe", "generic"] as const;
export type PresetName = (typeof PRESETS)[number];

/** A `kind: Trust` document, checked: an outside identity provider we accept and how its claims become names. */
export interface Trust {
  readonly name: string;
  readonly owner: string | undefined;
  readonly preset: PresetName;
  /** Compared byte for byte with `iss`. For `spiffe` this is the trust domain as `spiffe://td`, compared with `sub`. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly keys:
    | { readonly from: "discovery" }
    | { readonly from: "uri"; readonly uri: string }
    | { readonly from: "file"; readonly path: string };
  readonly privateNetwork: boolean;
  readonly insecureHttp: boolean;
  readonly caFile: string | undefined;
  readonly bearerFile: string | undefined;
  /** 1 = single use; 100 for presets whose tokens are cached by their platform. */
  readonly maxUses: number;
  /** Templates, compiled: undefined when a claim they need is missing. */
  readonly renderId: (claims: Claims) => string | undefined;
  readonly renderWorkload: (claims: Claims) => string | undefined;
  readonly renderTask: (claims: Claims) => string | undefined;
}

/** A `kind: Target` document, checked: a place at which one kind of credential is made. */
export interface Target extends OpenTarget {
  readonly kind: IssuerKind;
  /** How often the broker changes its own password there. */
  readonly rotateMs: number | undefined;
  /** Alike for two loads exactly when nothing of the document changed. */
  readonly version: string;
}

/** What a grant issues; `issuer` is the target's name where it is made at one. `params` is everything under `issue` that belongs to the issuer itself (audience, scope, claims...). */
export interface GrantIssue {
  readonly issuer: string;
  readonly audience: string | undefined;
  readonly scope: readonly string[];
  readonly ttlMs: number;
  readonly maxTtlMs: number;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface Grant {
  readonly name: string;
  readonly owner: string | undefined;
  readonly description: string | undefined;
  readonly sensitivity: "low" | "medium" | "high" | "critical";
  readonly mode: "enforce" | "audit";
  readonly issue: GrantIssue;
  /** How what it issues dies; rules may weigh it. */
  readonly revocation: RevocationClass;
  readonly limits: { readonly active: number | undefined; readonly perHour: number | undefined };
}

/** A resource server that honours our tokens. */
export interface Verifier {
  readonly name: string;
  readonly audience: string;
  /** SHA-256 of each key it may present, hex. */
  readonly keyHashes: readonly string[];
  readonly checks: "feed" | "introspection" | "status_list" | "none";
  /** Exact actions, as written; absent where the verifier names none. */
  readonly routes?: readonly RouteDocument[];
  /** The same, compiled. */
  readonly actions?: Routes;
}

export interface PolicySettings {
  readonly lint: "error" | "warn";
  readonly implicitTaskTtlMs: number;
  readonly retentionMs: number;
}

/** All documents, compiled and swapped as one. What compiled cannot surprise us later. Rules stay inside `decide.ts`. */
export interface Policy {
  /** `sha256:` of the documents' canonical form, first 16 hex digits: cited by every decision. */
  readonly version: string;
  readonly trusts: ReadonlyMap<string, Trust>;
  readonly grants: ReadonlyMap<string, Grant>;
  readonly verifiers: ReadonlyMap<string, Verifier>;
  readonly targets: ReadonlyMap<string, Target>;
  readonly settings: PolicySettings;
  /** Warnings, and lint errors where `lint: warn` or `accept` let them pass. */
  readonly problems: readonly Problem[];
}

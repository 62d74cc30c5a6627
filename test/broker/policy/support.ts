import { z } from "zod";
import type { DecisionInput } from "../../../domain/decision.ts";
import { CompiledPolicy, type PolicyContext } from "../../../broker/policy/compile.ts";
import { decide, type Decision } from "../../../broker/policy/decide.ts";
import { loadDocuments, type Loaded } from "../../../broker/policy/load.ts";

export const NOW = Date.parse("2026-11-25T10:30:00Z");

/** A stand-in for the issuers' own settings. */
export const context: PolicyContext = {
  stintUrl: "https://stint.acme.dev",
  issuers: {
    jwt: z.strictObject({
      audience: z.string(),
      scope: z.array(z.string()).optional(),
      claims: z.record(z.string(), z.unknown()).optional(),
      profile: z.string().optional(),
    }),
  },
  kinds: new Map(),
  now: NOW,
};

/** Loads YAML text as `policy.yaml`. */
export const load = (text: string, more: Partial<PolicyContext> = {}): Loaded =>
  loadDocuments([{ file: "policy.yaml", text }], { ...context, ...more });

/** A policy that must load; the problems are the failure's message. */
export function policyOf(text: string): CompiledPolicy {
  const { policy, problems } = load(text);
  if (!(policy instanceof CompiledPolicy))
    throw new Error(
      `did not load:\n${problems.map((one) => `${one.line ?? 0}:${one.column ?? 0} ${one.path ?? ""} ${one.message}`).join("\n")}`,
    );
  return policy;
}

export interface Ask {
  readonly trust?: string;
  readonly grant?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly scope?: readonly string[];
  readonly ttlMs?: number;
  readonly purpose?: string;
  readonly environment?: string;
  readonly now?: number;
}

export const inputOf = (ask: Ask): DecisionInput => ({
  principal: { trust: ask.trust ?? "github", subject: "github:456789", workload: "github/acme/shop", claims: ask.claims ?? {} },
  request: {
    grant: ask.grant ?? "deploy",
    purpose: ask.purpose ?? "",
    scope: ask.scope ?? [],
    ttlMs: ask.ttlMs,
    resource: "",
    environment: ask.environment ?? "",
  },
  task: { id: "", parent: "" },
  now: ask.now ?? NOW,
  network: { ip: "203.0.113.9" },
  posture: {},
  risk: 0,
});

export const ask = (policy: CompiledPolicy, what: Ask): Decision => decide(policy, inputOf(what));

/** `allow`, or the code of the refusal. */
export function outcome(policy: CompiledPolicy, what: Ask): string {
  const decision = ask(policy, what);
  return decision.allowed ? "allow" : decision.view.code;
}

export const GITHUB = `
kind: Trust
name: github
owner: team-platform
oidc: { issuer: https://token.actions.githubusercontent.com, preset: github }
---
`;

/** A grant named deploy with the given rules (YAML, two spaces in), beside the github trust. */
export const grantOf = (rules: string, more = ""): CompiledPolicy =>
  policyOf(`${GITHUB}kind: Grant
name: deploy
owner: team-payments
${more}
${rules}
issue: { issuer: jwt, audience: https://deploy.acme.dev, scope: [deploy:read, deploy:write], ttl: 10m, max_ttl: 30m }
---
kind: Settings
name: settings
lint: warn
`);

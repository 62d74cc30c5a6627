import { createHash, randomUUID, sign, type KeyObject } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { TOKEN_EXCHANGE, TOKEN_TYPES } from "../../domain/wire.ts";
import { presetClaims } from "../../test/support/idp-claims.ts";
import { idpKey, type IdpKey } from "../../test/support/idp.ts";

/** How outside evidence is signed. */
export type EvidenceAlg = "ES256" | "RS256";

export const GRANTS = 100;
/** Whom the tokens are for, and who may introspect them. */
export const AUDIENCE = "https://deploy.bench.test";
export const VERIFIER = { name: "deploy-api", key: "key-of-the-deploy-api-in-the-benchmark" } as const;
export const BASIC = `Basic ${Buffer.from(`${VERIFIER.name}:${VERIFIER.key}`).toString("base64")}`;
/** Requests of one CI run, which share a task. */
const LEASES_PER_TASK = 5;

/** A rule as both programs apply it: of this trust and repository, in these environments, on any branch, by these events. */
export interface Rule {
  readonly trust: string;
  readonly grant: string;
  readonly repositoryId: string;
  readonly environments: readonly string[];
  readonly events: readonly string[];
}

export interface TrustFacts {
  readonly name: string;
  readonly issuer: string;
  readonly alg: EvidenceAlg;
  readonly kid: string;
  readonly jwk: object;
}

/** The world that both programs live in: two identity providers, a hundred grants, a verifier. */
export interface Scenario {
  readonly trusts: readonly TrustFacts[];
  readonly rules: readonly Rule[];
  /** Form bodies of token requests, each with fresh evidence. `audience` is the URL of the program that will be asked. */
  mint(count: number, alg: EvidenceAlg, audience: string, change?: Readonly<Record<string, unknown>>): Promise<string[]>;
  /** Writes the configuration of a broker with this URL into a folder. */
  writeConfig(folder: string, url: string): Promise<void>;
}

const ENVIRONMENTS = ["production", "staging"];
const EVENTS = ["push", "workflow_dispatch"];
const grantName = (index: number): string => `deploy-${String(index).padStart(3, "0")}`;
const repositoryId = (index: number): string => String(400_000 + index);

export async function createScenario(): Promise<Scenario> {
  const keys: Readonly<Record<EvidenceAlg, IdpKey>> = { ES256: await idpKey("ES256"), RS256: await idpKey("RS256") };
  const trusts = (["ES256", "RS256"] as const).map((alg) => trustOf(alg, keys[alg]));
  const indexes = Array.from({ length: GRANTS }, (_, index) => index);
  const rules = indexes.flatMap((index) =>
    trusts.map((trust) => ({
      trust: trust.name,
      grant: grantName(index),
      repositoryId: repositoryId(index),
      environments: ENVIRONMENTS,
      events: EVENTS,
    })),
  );
  let made = 0;
  return {
    trusts,
    rules,
    async mint(count, alg, audience, change = {}) {
      const trust = trusts.find((each) => each.alg === alg);
      const now = Math.floor(Date.now() / 1000);
      const bodies: Promise<string>[] = [];
      for (let index = 0; index < count; index += 1) {
        made += 1;
        const grant = made % GRANTS;
        const claims = {
          iss: trust?.issuer,
          aud: audience,
          ...claimsOf(made),
          iat: now,
          nbf: now,
          exp: now + 300,
          jti: randomUUID(),
          ...change,
        };
        bodies.push(signed(keys[alg], claims).then((token) => formOf(token, grant)));
        // RSA signatures are slow enough to hold a queue of thousands
        if (bodies.length % 512 === 0) await Promise.all(bodies.slice(-512));
      }
      return Promise.all(bodies);
    },
    async writeConfig(folder, url) {
      await mkdir(folder, { recursive: true });
      for (const trust of trusts) await writeFile(join(folder, `${trust.name}.jwks.json`), JSON.stringify({ keys: [trust.jwk] }));
      await writeFile(join(folder, "bench.yaml"), documentsOf(trusts, url).join("\n---\n"));
    },
  };
}

function trustOf(alg: EvidenceAlg, key: IdpKey): TrustFacts {
  const name = alg.toLowerCase();
  const jwk = { ...key.publicKey.export({ format: "jwk" }), kid: key.kid, use: "sig", alg };
  return { name, issuer: `https://${name}.idp.bench.test`, alg, kid: key.kid, jwk };
}

/** One job of a run: five jobs after each other ask for the same task. */
function claimsOf(count: number): Readonly<Record<string, unknown>> {
  const index = count % GRANTS;
  const run = String(7_000_000 + Math.floor(count / (GRANTS * LEASES_PER_TASK)));
  const repository = `octo-org/repo-${index}`;
  const workflow = `${repository}/.github/workflows/deploy.yml@refs/heads/main`;
  return presetClaims("github", {
    sub: `repo:${repository}:environment:production`,
    repository,
    repository_id: repositoryId(index),
    environment: "production",
    event_name: "push",
    workflow_ref: workflow,
    job_workflow_ref: workflow,
    run_id: run,
    check_run_id: run,
  });
}

const signing = promisify((key: KeyObject, alg: EvidenceAlg, input: string, done: (error: Error | null, signature: Buffer) => void) =>
  sign("sha256", Buffer.from(input), alg === "ES256" ? { key, dsaEncoding: "ieee-p1363" } : { key }, done),
);

async function signed(key: IdpKey, claims: object): Promise<string> {
  const alg: EvidenceAlg = key.algorithm === "ES256" ? "ES256" : "RS256";
  const segment = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${segment({ alg, typ: "JWT", kid: key.kid })}.${segment(claims)}`;
  return `${input}.${(await signing(key.privateKey, alg, input)).toString("base64url")}`;
}

const formOf = (evidence: string, grant: number): string =>
  new URLSearchParams({
    grant_type: TOKEN_EXCHANGE,
    subject_token_type: TOKEN_TYPES.idToken,
    scope: `grant:${grantName(grant)}`,
    subject_token: evidence,
  }).toString();

function documentsOf(trusts: readonly TrustFacts[], url: string): readonly string[] {
  const json = JSON.stringify;
  const conditions = (index: number): string =>
    `{ repository_id: "${repositoryId(index)}", environment: ${json(ENVIRONMENTS)}, event_name: ${json(EVENTS)}, ref: { glob: "refs/heads/**" } }`;
  const trust = ({ name, issuer, alg }: TrustFacts): string =>
    `kind: Trust\nname: ${name}\nowner: bench\noidc: { issuer: "${issuer}", audience: "${url}", preset: github, algorithms: [${alg}], jwks_file: ${name}.jwks.json }`;
  const grant = (index: number): string =>
    [
      `kind: Grant\nname: ${grantName(index)}\nowner: bench\nsensitivity: medium\nallow:`,
      ...trusts.map(({ name }) => `  - { trust: ${name}, claims: ${conditions(index)} }`),
      `issue: { issuer: jwt, audience: "${AUDIENCE}", scope: [deploy:write], ttl: 10m }`,
    ].join("\n");
  return [
    "kind: Settings\nname: settings\nlint: warn",
    ...trusts.map(trust),
    ...Array.from({ length: GRANTS }, (_, index) => grant(index)),
    `kind: Verifier\nname: ${VERIFIER.name}\naudience: ${AUDIENCE}\nkey: sha256:${createHash("sha256").update(VERIFIER.key).digest("hex")}\nchecks: introspection`,
  ];
}

import assert from "node:assert/strict";
import { createPublicKey, generateKeyPair, generateKeyPairSync, sign, verify, X509Certificate, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import type { IssueOrder } from "../../domain/credential.ts";
import { newId } from "../../domain/ids.ts";
import { systemClock } from "../../domain/time.ts";
import type { X509Params } from "../../issuers/x509/settings.ts";
import { openX509, p256, published, requestFor, sharedTarget } from "../../test/support/x509.ts";
import { figureOf, type Figure } from "./figures.ts";
import type { VerifyRow } from "./verify.ts";

/** Bytes that a certificate's signature covers, about. */
const BODY = Buffer.alloc(500, 7);
const REVOKED = 10_000;
const generate = promisify(generateKeyPair);

/** Certificates a second beside the cryptography that nobody can leave out, in interleaved rounds; and how long a long list takes. */
export async function measureCertificates({ rounds, count, say }: { rounds: number; count: number; say: (text: string) => void }) {
  const shared = sharedTarget(systemClock);
  const issuer = openX509(shared);
  const params = issuer.params.parse({ spiffe_id: "spiffe://acme.test/ci/deploy" });
  const key = p256();
  const csr = requestFor(key);
  const make = async (): Promise<void> => void (await issuer.issue(orderOf(params, {}), NEVER));
  const ask = async (): Promise<void> => void (await issuer.issue(orderOf(params, issuer.options?.parse({ csr }) ?? {}), NEVER));
  const { credential } = await issuer.issue(orderOf(params, {}), NEVER);
  assert(new X509Certificate(credential.token.reveal()).verify(new X509Certificate(await published(issuer, "ca.pem")).publicKey));
  say(`${count} certificates, ${rounds} rounds of each`);
  const bare = bareOf(key);
  const figures: Record<"make" | "bareMake" | "ask" | "bareAsk", number[]> = { make: [], bareMake: [], ask: [], bareAsk: [] };
  for (let round = -1; round < rounds; round += 1) {
    const found = {
      bareMake: await perSecond(count, bare.make),
      make: await perSecond(count, make),
      bareAsk: await perSecond(count, bare.ask),
      ask: await perSecond(count, ask),
    };
    // the first round warms
    if (round >= 0) for (const name of ["make", "bareMake", "ask", "bareAsk"] as const) figures[name].push(found[name]);
  }
  const beside = (ours: readonly number[], floor: readonly number[]): Figure =>
    figureOf(ours.map((figure, round) => figure / (floor[round] ?? Number.NaN)));
  return [
    sized("our key: beside making a key and signing", "ratio", beside(figures.make, figures.bareMake)),
    sized("asker's key: beside checking a request and signing", "ratio", beside(figures.ask, figures.bareAsk)),
    sized("certificates with our key", "per second", figureOf(figures.make)),
    sized("certificates for the asker's key", "per second", figureOf(figures.ask)),
    sized(`list of ${REVOKED}, signed`, "us", figureOf(await signLists(issuer, rounds))),
  ] satisfies readonly VerifyRow[];
}

const NEVER = new AbortController().signal;

/** The cryptography alone: no names, no DER, no order. */
function bareOf(key: KeyObject): Record<"make" | "ask", () => Promise<void>> {
  const ca = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const proof = sign("sha256", BODY, key);
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const encodings = { publicKeyEncoding: { type: "spki", format: "der" }, privateKeyEncoding: { type: "pkcs8", format: "pem" } } as const;
  return {
    async make() {
      await generate("ec", { namedCurve: "P-256", ...encodings });
      sign("sha256", BODY, ca);
    },
    async ask() {
      const asked = createPublicKey({ key: spki, format: "der", type: "spki" });
      assert(verify("sha256", BODY, asked, proof));
      sign("sha256", BODY, ca);
    },
  };
}

async function signLists(issuer: ReturnType<typeof openX509>, rounds: number): Promise<readonly number[]> {
  const now = systemClock();
  const revoke = async (): Promise<void> =>
    void (await issuer.revoke({ leaseId: newId("lease", now), handle: undefined, expiresAt: now + 600_000 }, NEVER));
  for (let made = 0; made < REVOKED; made += 1) await revoke();
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await revoke();
    const began = performance.now();
    await published(issuer, "crl");
    times.push((performance.now() - began) * 1000);
  }
  return times;
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  for (let done = 0; done < count; done += 1) await work();
  return (count * 1000) / (performance.now() - began);
}

function orderOf(params: X509Params, options: Readonly<Record<string, unknown>>): IssueOrder<X509Params> {
  const now = systemClock();
  const leaseId = newId("lease", now);
  const who = { subject: "github:456789", workload: "github/acme/shop", trust: "github", grant: "deploy", purpose: undefined, scope: [] };
  return { ...who, leaseId, taskId: newId("task", now), jti: leaseId, issuedAt: now, expiresAt: now + 600_000, params, options };
}

const sized = (name: string, unit: VerifyRow["unit"], figure: Figure): VerifyRow => ({
  name,
  unit,
  figure,
  goal: undefined,
  met: undefined,
});

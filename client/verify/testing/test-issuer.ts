import { type CryptoKey, type JWK, SignJWT, calculateJwkThumbprint, decodeJwt, exportJWK, generateKeyPair } from "jose";
import { durationOption, systemClock, type VerifierClock } from "../clock.ts";
import type { Fetch } from "../http.ts";
import type { MarkKind } from "../marks.ts";
import { newId } from "./lease.ts";
import { TestFeed } from "./test-feed.ts";

export interface TestIssuerOptions {
  readonly issuer?: string;
  readonly audience?: string;
  /** Where time begins, in milliseconds; it moves only when told to. */
  readonly start?: number;
}

/** What a token of the test issuer says; any claim may be given, and left out by giving undefined. */
export interface TestTokenOptions {
  /** Scopes, separated by spaces. */
  readonly scope?: string;
  readonly ttl?: string | number;
  readonly subject?: string;
  readonly grant?: string;
  readonly audience?: string | readonly string[];
  /** The lease it stands for; a new one by default. */
  readonly lease?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** A use that a verifier has reported. */
export interface ReportedUse {
  readonly lease: string;
  readonly at: number;
  readonly outcome: "accepted" | "ended" | "refused";
  readonly count: number;
  readonly route?: string;
  readonly source?: string;
}

interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

const HOUR_MS = 3_600_000;

/**
 * A stand-in for the broker in tests of a resource server: it signs, publishes keys, feeds revocations and answers introspection,
 * all inside this process. Give `options` to a verifier. Its clock stands still until `advance`.
 */
export class TestIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly fetch: Fetch = async (input, init) => this.handle(new Request(input, init));
  readonly clock: VerifierClock;
  /** Reports of use that verifiers have sent. */
  readonly uses: ReportedUse[] = [];
  readonly #feed: TestFeed;
  readonly #keys: SigningKey[] = [];
  readonly #revoked = new Set<string>();
  readonly #ends = new Map<string, number>();
  #now: number;
  #moved = 0;

  constructor({ issuer = "https://stint.test", audience = "https://api.test", start }: TestIssuerOptions) {
    this.issuer = issuer;
    this.audience = audience;
    const machine = systemClock();
    this.#now = start ?? machine.now();
    this.clock = { now: () => this.#now, monotonic: () => this.#moved, after: (ms, run, held) => machine.after(ms, run, held) };
    this.#feed = new TestFeed(() => this.#now);
  }

  /** Options of a verifier that believes this issuer, without any network. */
  get options() {
    return { issuer: this.issuer, audience: this.audience, name: "test", key: "test", fetch: this.fetch, clock: this.clock };
  }

  /** A signed access token, as the broker would issue it. */
  async token({
    scope = "",
    ttl = "10m",
    subject = "test:1",
    grant = "test",
    audience,
    lease,
    claims = {},
  }: TestTokenOptions = {}): Promise<string> {
    const key = this.#keys.at(-1);
    if (key === undefined) throw new Error("the issuer has no key");
    const iat = Math.floor(this.#now / 1000);
    const exp = iat + Math.ceil(durationOption("ttl", ttl, 24 * HOUR_MS) / 1000);
    const leaseId = lease ?? newId("lease", this.#now);
    this.#ends.set(leaseId, exp);
    const said: Record<string, unknown> = {
      iss: this.issuer,
      sub: subject,
      aud: audience ?? this.audience,
      exp,
      iat,
      nbf: iat - 5,
      jti: crypto.randomUUID(),
      client_id: subject,
      scope,
      lease_id: leaseId,
      task_id: newId("task", this.#now),
      grant,
      workload: "test/workload",
      ...claims,
    };
    return new SignJWT(said).setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: key.kid }).sign(key.privateKey);
  }

  /** Revokes a lease, or that of a token. Every connected verifier knows it when this resolves. */
  async revoke(leaseOrToken: string): Promise<void> {
    const lease = leaseOrToken.startsWith("lease_") ? leaseOrToken : String(decodeJwt(leaseOrToken)["lease_id"]);
    this.#revoked.add(lease);
    await this.#feed.revoke(lease, this.#ends.get(lease) ?? Math.floor(this.#now / 1000) + 86_400);
  }

  /** Revokes all leases up to now of a workload (its subject), grant, trust, signing key (`kid`), or all there are. */
  async revokeAll(kind: MarkKind, name = ""): Promise<void> {
    await this.#feed.mark(kind, name, this.#now);
  }

  /** Moves time on. The feed lives on meanwhile, unless it is dark. */
  async advance(by: string | number): Promise<void> {
    const ms = durationOption("advance", by, 1_000 * HOUR_MS);
    this.#now += ms;
    this.#moved += ms;
    await this.#feed.sync();
  }

  /** The broker is gone, as far as the feed goes: verifiers grow stale as time moves on. */
  goDark(): void {
    this.#feed.setDark(true);
  }

  /** The broker is back. Verifiers find out by themselves; `await verifier.ready()`. */
  comeBack(): void {
    this.#feed.setDark(false);
  }

  /** Signs with a new key from here on; with `drop` the old ones are published no longer. Returns the new `kid`. */
  async rotate({ drop = false }: { readonly drop?: boolean } = {}): Promise<string> {
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    const jwk = await exportJWK(publicKey);
    const kid = await calculateJwkThumbprint(jwk);
    if (drop) this.#keys.length = 0;
    this.#keys.push({ kid, privateKey, publicJwk: { ...jwk, kid, alg: "ES256", use: "sig" } });
    return kid;
  }

  /** Answers as the broker does; mount it on a server for verifiers in other processes. */
  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/.well-known/openid-configuration")
      return Response.json({ issuer: this.issuer, jwks_uri: `${this.issuer}/.well-known/jwks.json` });
    if (url.pathname === "/.well-known/jwks.json") return Response.json({ keys: this.#keys.map(({ publicJwk }) => publicJwk) });
    if (url.pathname === "/oauth2/introspect") return Response.json({ active: this.#isActive(await request.text()) });
    if (url.pathname === "/v1/feed/used") {
      const { uses } = (await request.json()) as { readonly uses: readonly ReportedUse[] };
      this.uses.push(...uses);
    }
    return this.#feed.answer(url) ?? new Response(null, { status: 404 });
  }

  #isActive(form: string): boolean {
    const token = new URLSearchParams(form).get("token");
    if (token === null) return false;
    const { lease_id: lease, exp = 0 } = decodeJwt(token);
    return exp * 1000 > this.#now && !this.#revoked.has(String(lease));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#feed.close();
    await Promise.resolve();
  }
}

/** An issuer for tests. `const idp = await createTestIssuer(); app.use(protect(idp.options));` */
export async function createTestIssuer(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  const issuer = new TestIssuer(options);
  await issuer.rotate();
  return issuer;
}

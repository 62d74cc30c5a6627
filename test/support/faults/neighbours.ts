import { setTimeout as pause } from "node:timers/promises";
import { openStore } from "../../../store/open.ts";
import { eventually } from "../events.ts";
import { flood } from "../flood.ts";
import { presetClaims } from "../idp-claims.ts";
import { startIdp, type TestIdp } from "../idp.ts";
import { startMain, type MainProcess } from "../main-process.ts";
import { openOrder, principalOf, freshEvidence } from "../orders.ts";
import { startRedis } from "../redis.ts";
import { startLoad, type LoadReport } from "../round-robin.ts";
import { DEPLOY, DEPLOY_KEY, shopDocuments } from "../shop.ts";
import { Promises, type Fault } from "./fault.ts";

/** The shop, and a grant for another repository. */
const withNeighbour = (idp: TestIdp, url: string): string =>
  `${shopDocuments(idp, url)}
---
kind: Grant
name: quiet
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "111" } }
issue: { issuer: jwt, audience: "${DEPLOY}", ttl: 10m }
`;

const QUIET = { repository_id: "111", repository: "acme/quiet", sub: "repo:acme/quiet:ref:refs/heads/main" };

const quietLoad = (broker: MainProcess, idp: TestIdp, perSecond: number) =>
  startLoad({
    brokers: [broker.at],
    audience: broker.url,
    idp,
    perSecond,
    grant: "quiet",
    claims: (count) => ({ ...QUIET, run_id: `quiet-${count}` }),
    attempts: 1,
    timeoutMs: 20_000,
  });

const p99 = ({ answers }: LoadReport): number => {
  const sorted = answers.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
};

/** One workload asks for far more than it may have, as fast as it can, while another asks now and then. */
export const noisyWorkload: Fault = {
  id: "A28",
  what: "one workload asks for 10,000 credentials at once, of which it may have two",
  async run(form, say) {
    const { asks, connections, perSecond, quietMs } =
      form === "long"
        ? { asks: 10_000, connections: 200, perSecond: 50, quietMs: 10_000 }
        : { asks: 300, connections: 100, perSecond: 10, quietMs: 2_000 };
    const promises = new Promises();
    await using idp = await startIdp();
    await using broker = await startMain({ documents: (url) => withNeighbour(idp, url) });
    await using alone = quietLoad(broker, idp, perSecond);
    await eventually("a load", () => alone.issued() >= perSecond, 30_000);
    await pause(quietMs);
    const before = p99(await alone.stop());
    // minted first: making evidence must not be what slows the neighbour down
    const bodies = await Promise.all(Array.from({ length: asks }, (_, run) => bodyOf(idp, broker, run)));
    await using beside = quietLoad(broker, idp, perSecond);
    const noisy = await flood({ url: `${broker.at}/oauth2/token`, bodies, connections });
    const quiet = await beside.stop();
    const during = p99(quiet);
    say(`p99 of the neighbour: ${before.toFixed(1)} ms alone, ${during.toFixed(1)} ms beside`);
    const granted = noisy.filter(({ status }) => status === 200).length;
    const unsaid = noisy.filter(({ status, retryAfter }) => status !== 200 && (status !== 429 || retryAfter === undefined)).length;
    promises.expect(granted === 2, `${granted} credentials were given to whoever may have two`);
    promises.expect(unsaid === 0, `${unsaid} refusals were not 429 with Retry-After`);
    promises.expect(quiet.failed.length === 0, `${quiet.failed.length} requests of the neighbour failed: ${quiet.failed[0]}`);
    // a fifth of a few milliseconds is less than the noise of any machine
    if (form === "long")
      promises.expect(
        during <= Math.max(before * 1.2, before + 15),
        `the neighbour's p99 rose from ${before.toFixed(1)} to ${during.toFixed(1)} ms`,
      );
    const figures = { asked: asks, granted, neighbour_p99_alone_ms: before.toFixed(1), neighbour_p99_beside_ms: during.toFixed(1) };
    return { figures, broken: promises.broken };
  },
};

async function bodyOf(idp: TestIdp, broker: MainProcess, run: number): Promise<string> {
  const claims = { iss: idp.issuer, aud: broker.url, repository_id: "456789", ref: "refs/heads/main", run_id: `noisy-${run}` };
  return new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: await idp.token(presetClaims("github", claims)),
    subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
    scope: "grant:few",
  }).toString();
}

/** A responder revokes a workload with very many leases; another workload wants one of its own to end. */
export const noisyRevocation: Fault = {
  id: "A29",
  what: "a workload of 100,000 leases is revoked while another gives back one",
  async run(form, say) {
    const leases = form === "long" ? 100_000 : 2_000;
    const promises = new Promises();
    await using redis = await startRedis();
    await using idp = await startIdp();
    await using broker = await startMain({ documents: (url) => withNeighbour(idp, url), redisUrl: redis.url });
    await fill(redis.url, leases);
    say(`${leases} leases of one workload are live`);
    await using load = quietLoad(broker, idp, 10);
    await eventually("a load", () => load.issued() >= 10, 30_000);
    const asOperator = { authorization: `Bearer ${broker.operator}`, "content-type": "application/json" };
    const started = await fetch(`${broker.at}/v1/revocations`, {
      method: "POST",
      headers: asOperator,
      body: JSON.stringify({ selector: { workload: "github:456789" }, reason: "A29" }),
    });
    const { id } = (await started.json()) as { readonly id: string };
    promises.expect(started.status === 202, `the revocation was answered with ${started.status}`);
    const own = await oneMore(idp, broker);
    const from = performance.now();
    const revoked = await fetch(`${broker.at}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: own }) });
    const active = await introspect(broker, own);
    const ms = performance.now() - from;
    promises.expect(
      revoked.status === 200 && !active,
      `the neighbour's revocation was answered with ${revoked.status}, and its token is ${active ? "active" : "dead"}`,
    );
    promises.expect(ms <= (form === "long" ? 2_000 : 10_000), `the neighbour's revocation took ${Math.round(ms)} ms`);
    const job = await eventually(
      "everything cleaned up",
      async () => {
        const view = (await (await fetch(`${broker.at}/v1/revocations/${id}`, { headers: asOperator })).json()) as {
          state: string;
          ended: number;
        };
        return view.state === "done" && view;
      },
      120_000,
    );
    const cleanedMs = performance.now() - from;
    const quiet = await load.stop();
    promises.expect(job.ended >= leases, `${job.ended} of ${leases} leases were ended`);
    promises.expect(quiet.failed.length === 0, `${quiet.failed.length} requests of the neighbour failed: ${quiet.failed[0]}`);
    if (form === "long") promises.expect(cleanedMs <= 30_000, `cleaning up took ${Math.round(cleanedMs)} ms`);
    const figures = { leases, neighbour_ms: Math.round(ms), cleaned_ms: Math.round(cleanedMs), neighbour_p99_ms: Math.round(p99(quiet)) };
    return { figures, broken: promises.broken };
  },
};

async function fill(url: string, leases: number): Promise<void> {
  const store = await openStore({ url });
  const clock = (): number => store.clock.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (; next < leases; next += 1) {
      const principal = {
        ...principalOf("github:456789", { ...freshEvidence(clock()), maxUses: undefined }),
        workload: "github/acme/shop",
      };
      await store.leases.open(openOrder(clock, "github:456789", { principal }));
    }
  };
  await Promise.all(Array.from({ length: 32 }, lane));
  await store.close();
}

async function oneMore(idp: TestIdp, broker: MainProcess): Promise<string> {
  const claims = { iss: idp.issuer, aud: broker.url, ...QUIET, ref: "refs/heads/main", run_id: "one-more" };
  const response = await fetch(`${broker.at}/oauth2/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: await idp.token(presetClaims("github", claims)),
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      scope: "grant:quiet",
    }),
  });
  return ((await response.json()) as { readonly access_token: string }).access_token;
}

async function introspect(broker: MainProcess, token: string): Promise<boolean> {
  const response = await fetch(`${broker.at}/oauth2/introspect`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`deploy-api:${DEPLOY_KEY}`).toString("base64")}` },
    body: new URLSearchParams({ token }),
  });
  return ((await response.json()) as { readonly active: boolean }).active;
}

import { hash } from "node:crypto";
import { startVerifyProxy, type VerifyProxy, type VerifyProxyOptions } from "../../../client/verify-proxy/verify-proxy.ts";
import { systemClock } from "../../../domain/time.ts";
import type { BrokerSettings } from "../../support/broker.ts";
import { DEPLOY, openShop, type Shop } from "../../support/shop.ts";

export const GATE_KEY = "gate-key-of-the-shop";
export const BASIC = `Basic ${Buffer.from(`gate:${GATE_KEY}`).toString("base64")}`;

/** A verifier of the shop's deploy audience that has routes. */
export const GATE = `
---
kind: Verifier
name: gate
audience: ${DEPLOY}
key: sha256:${hash("sha256", GATE_KEY, "hex")}
checks: feed
routes:
  - { method: [GET, HEAD], path: "/deploy/*/status", require: { scope: [deploy:read] } }
  - { method: POST, path: "/deploy/**", require: { scope: [deploy:write] }, when: "token.purpose != ''" }
  - { method: GET, path: "/context", when: "request.context.env == 'prod' && request.host == 'deploy.test'" }
---
kind: Verifier
name: bare
audience: ${DEPLOY}
key: sha256:${hash("sha256", "bare-key", "hex")}
checks: feed
`;

/** A shop with the gate. */
export const openGate = (settings: BrokerSettings & { readonly more?: string } = {}): Promise<Shop> =>
  openShop({ ...settings, more: GATE + (settings.more ?? "") });

/** `stint verify-proxy` as the gate of the broker at this address. */
export const startGateProxy = (url: string, more: Partial<VerifyProxyOptions> = {}): Promise<VerifyProxy> =>
  startVerifyProxy({
    url,
    name: "gate",
    key: GATE_KEY,
    listen: { host: "127.0.0.1", port: 0 },
    metrics: undefined,
    maxStalenessMs: 15_000,
    onStale: "deny",
    routesCache: undefined,
    clock: systemClock,
    fetch,
    log: () => undefined,
    ...more,
  });

/** A credential of the deploy grant. */
export async function tokenOf(shop: Shop, change: Parameters<Shop["exchange"]>[0] = {}): Promise<{ token: string; leaseId: string }> {
  const { credential, lease } = await shop.exchange({ purpose: "release 7", ...change });
  return { token: credential.token.reveal(), leaseId: lease.id };
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

/** POSTs JSON as the gate. */
export async function ask(shop: Shop, path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  const response = await fetch(`${shop.broker.url}${path}`, {
    method: "POST",
    headers: { authorization: BASIC, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answered["body"] };
}

import { hash } from "node:crypto";
import { openShop, DEPLOY, type Shop } from "./shop.ts";
import type { BrokerSettings } from "./broker.ts";

/** Verifiers of the shop that read the feed: `name:key` of each, and its audience. */
export const SHIP = { key: "ship-api:ship-api-key-of-the-shop", audience: "https://ship.shop.test" } as const;
export const OTHER = { key: "other-api:other-api-key-of-the-shop", audience: "https://other.shop.test" } as const;

const verifier = ({ key, audience }: typeof SHIP | typeof OTHER): string => {
  const [name = "", secret = ""] = key.split(":");
  return `
---
kind: Verifier
name: ${name}
audience: ${audience}
key: sha256:${hash("sha256", secret, "hex")}
checks: feed
`;
};

const grant = (name: string, audience: string): string => `
---
kind: Grant
name: ${name}
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: ["456789", "777", "888"] } }
issue: { issuer: jwt, audience: "${audience}", ttl: 10m, max_ttl: 30m }
`;

/** What the feed's tests add to the shop: two audiences whose verifiers read the feed, one of them with two grants. */
export const FEED_DOCUMENTS = [
  grant("ship", SHIP.audience),
  grant("ship-more", SHIP.audience),
  grant("other", OTHER.audience),
  verifier(SHIP),
  verifier(OTHER),
].join("");

export { DEPLOY };

export const openFeedShop = (settings: BrokerSettings & { readonly more?: string } = {}): Promise<Shop> =>
  openShop({ ...settings, more: FEED_DOCUMENTS + (settings.more ?? "") });

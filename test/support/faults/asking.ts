import { StintError } from "../../../domain/errors.ts";
import { Secret } from "../../../domain/secret.ts";
import { origin } from "../broker.ts";
import { DEPLOY_KEY, type Shop } from "../shop.ts";

/** Whether the deploy API would be told to honour this token. */
export async function isHonoured(shop: Shop, token: Secret): Promise<boolean> {
  const { verifiers, introspection } = shop.broker.services;
  const verifier = verifiers.authenticate("deploy-api", new Secret(DEPLOY_KEY));
  if (verifier === undefined) throw new Error("the shop has no deploy API");
  return (await introspection.check(token, verifier)).active;
}

/** Gets a token of the shop's, as a CI job would. */
export async function aToken(shop: Shop): Promise<Secret> {
  const { credential } = await shop.exchange({ evidence: await shop.evidence({ run_id: `${(runs += 1)}` }) });
  return credential.token;
}
let runs = 0;

/** Revokes by holding the token (RFC 7009). */
export const revoke = (shop: Shop, token: Secret): Promise<void> => shop.broker.services.tokens.revoke(token, origin());

/** The code that the work was refused with; `ok` when it was done. Anything but an error of ours is thrown on. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof StintError) return error.code;
    throw error;
  }
}

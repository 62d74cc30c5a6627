import { StintError } from "../../domain/errors.ts";
import type { Claims } from "../../domain/principal.ts";
import type { Trust } from "../policy/policy.ts";
import { claimAt } from "../policy/template.ts";

/**
 * Checks that a verified token does not contradict itself in the claims that identities are made of: a platform whose customers can
 * shape one of two claims must not get us to believe half. Throws `invalid_identity`; claims may be named, they are the caller's own.
 */
export function checkConsistency(trust: Trust, claims: Claims): void {
  switch (trust.preset) {
    case "github":
      return checkGithub(claims);
    case "kubernetes":
      return checkKubernetes(claims);
    case "google":
      return checkGoogle(claims);
    case "azure":
      return checkAzure(trust.issuer, claims);
    case "gitlab":
    case "buildkite":
    case "circleci":
    case "spiffe":
    case "generic":
      return;
  }
}

const disagree = (a: string, b: string): StintError => new StintError("invalid_identity", `identity token's ${a} and ${b} disagree`);

/** Both shapes of `sub`: `repo:OWNER/NAME` and, since July 2026, `repo:OWNER@ID/NAME@ID`. Other shapes are the owner's own making. */
const GITHUB_SUB = /^repo:([^/:@]+)(?:@([^/:@]+))?\/([^/:@]+)(?:@([^/:@]+))?(?::|$)/;

function checkGithub(claims: Claims): void {
  const { sub, repository, repository_id: id, repository_owner_id: ownerId } = claims;
  const match = typeof sub === "string" ? GITHUB_SUB.exec(sub) : null;
  if (!match) return;
  const [, owner = "", ownerInSub, name = "", idInSub] = match;
  if (repository !== undefined && (typeof repository !== "string" || repository.toLowerCase() !== `${owner}/${name}`.toLowerCase()))
    throw disagree("sub", "repository");
  if (idInSub !== undefined && id !== idInSub) throw disagree("sub", "repository_id");
  if (ownerInSub !== undefined && ownerId !== ownerInSub) throw disagree("sub", "repository_owner_id");
}

function checkKubernetes(claims: Claims): void {
  const inner = claims["kubernetes.io"];
  if (inner === undefined) return; // then the templates find nothing to be made of
  const namespace = claimAt(claims, ["kubernetes.io", "namespace"]);
  const account = claimAt(claims, ["kubernetes.io", "serviceaccount", "name"]);
  if (typeof namespace !== "string" || typeof account !== "string" || claims["sub"] !== `system:serviceaccount:${namespace}:${account}`) {
    throw disagree("sub", "kubernetes.io");
  }
}

function checkGoogle(claims: Claims): void {
  if (claims["email"] !== undefined && claims["email_verified"] !== true)
    throw new StintError("invalid_identity", "identity token's email is not verified");
}

/** Both issuers carry the tenant: `https://sts.windows.net/TID/` (v1), `https://login.microsoftonline.com/TID/v2.0`. */
function checkAzure(issuer: string, claims: Claims): void {
  const tenant = /^https:\/\/[^/]+\/([0-9a-f-]{36})(?:\/|$)/i.exec(issuer)?.[1];
  if (tenant !== undefined && claims["tid"] !== undefined && claims["tid"] !== tenant) throw disagree("iss", "tid");
}

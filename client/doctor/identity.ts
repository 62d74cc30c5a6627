import type { BrokerClient } from "../broker-client.ts";
import { unverifiedClaims } from "../claims.ts";
import { BrokerError } from "../errors.ts";
import type { Identity } from "../identity/source.ts";
import { bad, leftOut, ok, type Finding } from "./finding.ts";

/** How this machine can prove what it is, and whether the broker believes it. Asking who one is spends no evidence. */
export async function identified(identity: Identity, broker: BrokerClient, operated: boolean): Promise<readonly Finding[]> {
  if (identity.source === "none")
    return operated
      ? [leftOut("identity", "nothing here proves what this software is: this is an operator's machine, it seems")]
      : [
          leftOut(
            "identity",
            "nothing here proves what this software is",
            "Run this inside the job: GitHub Actions, GitLab CI, Buildkite, CircleCI and projected Kubernetes tokens are found by themselves. Elsewhere set STINT_ID_TOKEN_FILE.",
          ),
        ];
  let token: string;
  try {
    token = await identity.token();
  } catch (error) {
    return [refused(`${identity.source}: there is no evidence`, error)];
  }
  const here = ok("identity", `evidence from ${identity.source}${claimed(token)}`);
  try {
    const view = await broker.whoami(token);
    if (view.kind !== "workload") return [here];
    const grants = view.grants.length === 0 ? "no grant is within its reach" : `may ask for ${view.grants.join(", ")}`;
    return [here, ok("accepted", `the broker knows it as ${view.workload} by trust ${view.trust}; ${grants}`)];
  } catch (error) {
    return [here, refused(`the broker does not accept the evidence${claimed(token)}`, error)];
  }
}

function refused(what: string, error: unknown): Finding {
  const why = error instanceof Error ? error.message : "it failed";
  const next = error instanceof BrokerError ? error.hint : undefined;
  const code = error instanceof BrokerError ? ` (${error.code})` : "";
  return bad("identity", `${what}${code}`, { why, next: next ?? "Compare its iss and aud with the Trust documents: stint policy check" });
}

/** Who made the token and for whom, by its own unverified word. Neither is a secret. */
function claimed(token: string): string {
  const claims = unverifiedClaims(token);
  if (claims === undefined) return "";
  const names = (value: unknown): string =>
    [value]
      .flat()
      .filter((one) => typeof one === "string")
      .join(", ") || "nobody";
  return `, made by ${names(claims["iss"])} for ${names(claims["aud"])}`;
}

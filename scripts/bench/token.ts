import type { LeaseId } from "../../domain/ids.ts";
import type { Program } from "./programs.ts";

/** An access token as a workload gets it. */
export interface Token {
  readonly text: string;
  readonly lease: LeaseId;
  readonly subject: string;
}

/** Asks for one; `body` is a form with fresh evidence. */
export async function issue(broker: Program, body: string): Promise<Token> {
  const answer = (await (await post(broker, "/oauth2/token", body)).json()) as {
    readonly access_token: string;
    readonly lease_id: LeaseId;
  };
  const payload = Buffer.from(answer.access_token.split(".")[1] ?? "", "base64url").toString("utf8");
  return { text: answer.access_token, lease: answer.lease_id, subject: (JSON.parse(payload) as { readonly sub: string }).sub };
}

/** Gives it back, as its holder may. */
export async function giveBack(broker: Program, { text }: Token): Promise<void> {
  await post(broker, "/oauth2/revoke", new URLSearchParams({ token: text }).toString());
}

async function post(broker: Program, path: string, body: string): Promise<Response> {
  const response = await fetch(`${broker.url}${path}`, {
    method: "POST",
    body,
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response;
}

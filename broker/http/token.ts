import type { TokenType } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { Secret } from "../../domain/secret.ts";
import { toRfc3339 } from "../../domain/time.ts";
import { TOKEN_EXCHANGE, TOKEN_TYPES, TokenForm, TokenView } from "../../domain/wire.ts";
import type { ExchangeRequest, IssuedCredential } from "../services.ts";
import { looksLikeTaskToken } from "../tasks/signature.ts";
import { msOf } from "./input.ts";
import { type Answer, type Call, route } from "./route.ts";

const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;
const GRANT_SCOPE = "grant:";
/** What google-auth-library asks for unasked. */
const IGNORED_SCOPE = "/cloud-platform";

/** POST /oauth2/token: evidence for a credential (RFC 8693). */
export const tokenRoute = route({
  method: "POST",
  path: "/oauth2/token",
  access: "open",
  summary: "Exchange evidence for a credential (RFC 8693).",
  body: TokenForm,
  encoding: "form",
  proofs: true,
  answers: { 200: TokenView },
  async handle(call, { services, clock }) {
    const request = parse(call);
    const issued = await services.requests.exchange(request);
    return answer(issued, issued.taskToken, clock());
  },
});

function parse(call: Call<"open", TokenForm, unknown>): ExchangeRequest {
  const form = call.body;
  if (call.headers.authorization !== undefined)
    throw new StintError("invalid_client", "this endpoint takes no client authentication: send your evidence as subject_token");
  if (form.grant_type !== TOKEN_EXCHANGE) throw new StintError("unsupported_grant_type", `expected grant_type ${TOKEN_EXCHANGE}`);
  if (form.actor_token !== undefined || form.actor_token_type !== undefined)
    throw new StintError("invalid_request", "actor_token is not supported: ask with the evidence of whoever acts");
  const asked = splitScope(form.scope ?? "");
  const audiences = [...new Set([...(form.resource ?? []), ...(form.audience ?? [])])];
  return {
    evidence: evidenceOf(form),
    tokenType: requestedType(form.requested_token_type),
    grant: asked.grant,
    scope: asked.scope,
    audiences,
    resource: audiences[0] ?? "",
    ttlMs: msOf(form.ttl, "ttl"),
    purpose: form.purpose ?? "",
    environment: form.environment ?? "",
    bind: form.bind,
    idempotency: call.idempotency,
    origin: call.origin,
  };
}

/** RFC 8693 section 3: an access token is one of ours, and none of ours but the task token is evidence; that one is a jwt. */
function evidenceOf(form: TokenForm): Secret {
  if (form.subject_token === undefined) throw new StintError("invalid_request", "subject_token is missing: it holds your identity token");
  if (form.subject_token_type === undefined) throw new StintError("invalid_request", "subject_token_type is missing");
  if (form.subject_token_type !== TOKEN_TYPES.jwt && form.subject_token_type !== TOKEN_TYPES.idToken) {
    throw new StintError(
      "invalid_request",
      `subject_token_type may be ${TOKEN_TYPES.jwt} or ${TOKEN_TYPES.idToken}: an identity token is no access token`,
    );
  }
  if (form.subject_token_type === TOKEN_TYPES.idToken && looksLikeTaskToken(form.subject_token))
    throw new StintError("invalid_request", `a task token is no identity token: its subject_token_type is ${TOKEN_TYPES.jwt}`);
  return new Secret(form.subject_token);
}

/** RFC 8693 section 2.1: unasked, the grant says what it is. */
function requestedType(asked: string | undefined): TokenType | undefined {
  if (asked === undefined) return undefined;
  if (asked === TOKEN_TYPES.accessToken) return "access_token";
  if (asked === TOKEN_TYPES.jwt) return "jwt";
  throw new StintError(
    "invalid_request",
    `requested_token_type may be ${TOKEN_TYPES.accessToken}, or ${TOKEN_TYPES.jwt} for a federation grant`,
  );
}

/** At most one `grant:NAME`; the rest are asked scopes. */
function splitScope(text: string): { readonly grant: string | undefined; readonly scope: readonly string[] } {
  const grants = new Set<string>();
  const scope = new Set<string>();
  for (const item of text.split(" ")) {
    if (item === "" || item.endsWith(IGNORED_SCOPE)) continue;
    if (!SCOPE_TOKEN.test(item)) throw new StintError("invalid_request", "scope holds a character or a length that is not allowed");
    // a name of the wrong form goes on too: it is refused as any unknown grant is, once the evidence is known to be good
    if (item.startsWith(GRANT_SCOPE)) grants.add(item.slice(GRANT_SCOPE.length));
    else scope.add(item);
  }
  if (grants.size > 1) throw new StintError("invalid_request", "scope names more than one grant");
  if (scope.size > 64) throw new StintError("invalid_request", "scope holds more than 64 items");
  const [grant] = grants;
  return { grant, scope: [...scope] };
}

function answer(issued: IssuedCredential, taskToken: Secret, now: number): Answer {
  const { type, facts, tokenType } = issued.credential;
  const body: TokenView = {
    access_token: issued.credential.token.reveal(),
    issued_token_type: tokenType === "jwt" ? TOKEN_TYPES.jwt : TOKEN_TYPES.accessToken,
    token_type: tokenType === "jwt" ? "N_A" : issued.boundTo?.method === "jkt" ? "DPoP" : "Bearer",
    // clients refuse what is not positive, and a missing value as never expiring
    expires_in: Math.max(1, Math.floor((issued.expiresAt - now) / 1000)),
    scope: issued.scope.join(" "),
    lease_id: issued.lease.id,
    task_id: issued.task.id,
    task_token: taskToken.reveal(),
    expires_at: toRfc3339(issued.expiresAt),
    limited_by: issued.limitedBy,
    dead_by: toRfc3339(issued.deadBy),
    revocation: issued.revocation,
    ...(type === "jwt" && facts === undefined ? {} : { issuer: issued.issuer, credential: { ...facts, type } }),
  };
  return issued.credential.type === "jwt" ? { status: 200, body: textOf(body), type: "application/json" } : { status: 200, body };
}

/**
 * As JSON. Nearly all of it are the two tokens, and compact JWS of ours hold nothing that JSON would escape: they are put in as they are,
 * where the serializer would look at every letter.
 */
function textOf({ access_token: token, task_token: taskToken, ...rest }: TokenView): string {
  return `{"access_token":"${token}","task_token":"${taskToken}",${JSON.stringify(rest).slice(1)}`;
}

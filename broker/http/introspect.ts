import { Secret } from "../../domain/secret.ts";
import { IntrospectForm, IntrospectionView, RevokeForm } from "../../domain/wire.ts";
import { z } from "zod";
import { route } from "./route.ts";

/** POST /oauth2/introspect: whether a token may be honoured now (RFC 7662). For registered verifiers, each for its own audience. */
export const introspectRoute = route({
  method: "POST",
  path: "/oauth2/introspect",
  access: "verifier",
  summary: "Ask whether a token may be honoured now (RFC 7662).",
  body: IntrospectForm,
  encoding: "form",
  answers: { 200: IntrospectionView },
  async handle({ body, verifier }, { services }) {
    const found = await services.introspection.check(new Secret(body.token), verifier);
    // exactly this and no reason, so that the endpoint is no oracle
    return { status: 200, body: found.active ? { ...found.claims, active: true, token_type: found.tokenType } : { active: false } };
  },
});

/** POST /oauth2/revoke: whoever holds a token may end it (RFC 7009); 200 whatever it was. */
export const revokeRoute = route({
  method: "POST",
  path: "/oauth2/revoke",
  access: "open",
  summary: "End what a token stands for; holding it is the proof (RFC 7009).",
  body: RevokeForm,
  encoding: "form",
  answers: { 200: z.strictObject({}) },
  async handle({ body, origin }, { services }) {
    await services.tokens.revoke(new Secret(body.token), origin);
    return { status: 200, body: {} };
  },
});

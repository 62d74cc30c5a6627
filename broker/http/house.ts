import { HoldBody, HoldView, KeyBody, KeyPage, KeysChangedView, PageQuery } from "../../domain/wire.ts";
import type { KeyView as Key, Revocation } from "../services.ts";
import { holdView, keyView, pageOfWhole, revocationView } from "./render.ts";
import { type Answer, route } from "./route.ts";
import { DEFAULT_PAGE } from "./tasks.ts";

export const houseRoutes = [
  route({
    method: "GET",
    path: "/v1/hold",
    access: "viewer",
    summary: "Whether issuing is on hold, and what waits.",
    answers: { 200: HoldView },
    async handle(_call, { services }) {
      return { status: 200, body: holdView(await services.hold.show()) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/hold",
    access: "admin",
    summary: "Clear the hold: a person has looked.",
    body: HoldBody,
    answers: { 200: HoldView },
    async handle({ operator, body, origin }, { services }) {
      return { status: 200, body: holdView(await services.hold.clear(operator, body.reason, origin)) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/keys",
    access: "viewer",
    summary: "List signing keys.",
    query: PageQuery,
    answers: { 200: KeyPage },
    async handle({ query: { cursor, limit } }, { services }) {
      return { status: 200, body: pageOfWhole(await services.keys.list(), ({ kid }) => kid, keyView, cursor, limit ?? DEFAULT_PAGE) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/keys",
    access: "admin",
    summary: "Rotate, withdraw or reseal keys.",
    body: KeyBody,
    answers: { 200: KeysChangedView },
    async handle({ operator, body, origin }, { services: { keys } }) {
      switch (body.action) {
        case "rotate":
          return changed(
            await keys.rotate({ alg: body.alg, when: body.immediately === true ? "now" : "known", reason: body.reason, operator, origin }),
          );
        case "withdraw": {
          const done = await keys.withdraw(body.kid, operator, body.reason, origin);
          return changed(done.keys, done.revocation);
        }
        case "reseal": {
          const { resealed } = await keys.reseal(operator, origin);
          return changed(await keys.list(), undefined, resealed);
        }
      }
    },
  }),
];

function changed(keys: readonly Key[], revocation?: Revocation, resealed?: number): Answer {
  return {
    status: 200,
    body: { keys: keys.map(keyView), revocation: revocation === undefined ? null : revocationView(revocation), resealed: resealed ?? null },
  };
}

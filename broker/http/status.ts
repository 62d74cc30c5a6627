import { StintError } from "../../domain/errors.ts";
import { StatusQuery, StatusListsView } from "../../domain/wire.ts";
import { route } from "./route.ts";

const LIST_TYPE = "application/statuslist+jwt";

/** What an Accept header lets us send; without one, anything. */
function accepts(header: string | undefined): boolean {
  if (header === undefined) return true;
  return header.split(",").some((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    return [LIST_TYPE, "application/*", "*/*"].includes(type) && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
  });
}

/** Whether `gzip` is offered, with another weight than none (RFC 9110 section 12.5.3). */
const takesGzip = (header: string): boolean => /(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))|,|$)/i.test(header);

export const statusRoutes = [
  route({
    method: "GET",
    path: "/status",
    access: "open",
    shared: true,
    summary: "List the status lists there are (Token Status List aggregation).",
    answers: { 200: StatusListsView },
    async handle(_call, { services }) {
      return { status: 200, body: { status_lists: await services.statusLists.uris() }, headers: ["Cache-Control", "public, max-age=30"] };
    },
  }),
  route({
    method: "GET",
    path: "/status/{id}",
    access: "open",
    shared: true,
    summary: "Whether tokens are over, for verifiers that do not ask (Token Status List).",
    query: StatusQuery,
    answers: { 200: null },
    async handle({ params, query, headers }, { services }) {
      if (query.time !== undefined)
        throw new StintError("not_implemented", "a status list is served as it stands now: time is not supported");
      if (!accepts(headers.accept)) throw new StintError("not_acceptable", `a status list is ${LIST_TYPE}`);
      const { token, gzipped, maxAgeSeconds } = await services.statusLists.token(params["id"] ?? "");
      const common = ["Cache-Control", `public, max-age=${maxAgeSeconds}`, "Vary", "Accept, Accept-Encoding"];
      if (!takesGzip(String(headers["accept-encoding"] ?? ""))) return { status: 200, body: token, type: LIST_TYPE, headers: common };
      return { status: 200, body: gzipped, type: LIST_TYPE, headers: [...common, "Content-Encoding", "gzip"] };
    },
  }),
];

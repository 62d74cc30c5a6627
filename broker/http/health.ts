import { z } from "zod";
import { route } from "./route.ts";

const live = (path: string) =>
  route({
    method: "GET",
    path,
    access: "open",
    summary: "Whether the process answers; asks nobody else.",
    answers: { 200: null },
    handle: () => ({ status: 200, body: "ok\n", type: "text/plain; charset=utf-8" }),
  });

/** Whether the broker can do its work, check by check. Names only: details are for operators' logs. */
export const ReadinessView = z
  .strictObject({
    ready: z.boolean(),
    checks: z.array(z.strictObject({ name: z.string(), status: z.enum(["ok", "warn", "fail"]), detail: z.string() })),
  })
  .meta({ id: "Readiness" });

export const healthRoutes = [
  live("/livez"),
  live("/healthz"),
  route({
    method: "GET",
    path: "/readyz",
    access: "open",
    summary: "Whether the broker can issue and revoke, check by check.",
    answers: { 200: ReadinessView, 503: ReadinessView },
    handle(_call, { services }) {
      const { ready, checks } = services.readiness();
      return { status: ready ? 200 : 503, body: { ready, checks }, headers: ready ? [] : ["Retry-After", "5"] };
    },
  }),
];

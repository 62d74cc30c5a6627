import { z } from "zod";
import type { TargetFacts } from "../../domain/credential.ts";
import { type ApiParts, callGitHub, failureOf, jsonOf } from "./api.ts";
import type { InstallationFinder } from "./installation.ts";
import { beyondPermissions, type Level, type Permissions, unaskedPermission } from "./narrow.ts";

const App = z.object({ slug: z.string().optional(), name: z.string() });
const WORD_MS = 60_000;

/** Who we are at GitHub, what is left of the hour's calls, and where the App's rights and the target's differ. */
export async function examineGitHub(
  parts: ApiParts & { readonly installation: InstallationFinder },
  signal: AbortSignal,
): Promise<TargetFacts> {
  const { settings, ports, quota, installation } = parts;
  const answer = await callGitHub(parts, { method: "GET", path: "/app", as: { appUntil: ports.clock() + WORD_MS }, signal });
  const app = answer.status === 200 ? App.safeParse(jsonOf(answer)) : undefined;
  if (app?.success !== true) throw failureOf(answer, "show the App", quota);
  const found = await installation.read(signal);
  const version = answer.headers["x-github-enterprise-version"];
  const shown = quota.shown();
  return {
    server: `${typeof version === "string" ? `GitHub Enterprise Server ${version}` : "GitHub"}, App ${app.data.slug ?? app.data.name}`,
    ...(shown && { quota: shown }),
    warnings: warningsOf(settings.permissions, found),
  };
}

function warningsOf(
  ceiling: Permissions,
  found: { readonly permissions: Readonly<Record<string, string>>; readonly suspended_at?: string | null | undefined },
): string[] {
  const warnings: string[] = [];
  if (typeof found.suspended_at === "string") warnings.push("the installation is suspended: no token will be made");
  const held: Record<string, Level> = {};
  for (const [name, level] of Object.entries(found.permissions))
    if (level === "read" || level === "write" || level === "admin") held[name] = level;
  const missing = beyondPermissions(ceiling, held);
  if (missing !== undefined) warnings.push(`the target offers more than the installation has: ${missing}`);
  const more = unaskedPermission(found.permissions, ceiling);
  if (more !== undefined)
    warnings.push(`the App may do more there than this target gives, ${more} for one: take it away from the App if nobody needs it`);
  return warnings;
}

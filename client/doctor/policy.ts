import { existsSync } from "node:fs";
import type { Problem } from "../../domain/errors.ts";
import { bad, count, leftOut, ok, warn, type Finding } from "./finding.ts";

/** What the server's own loader says of documents: `stint policy check --json`; undefined where this installation has no server part. */
export type CheckDocuments = (path: string) => Promise<string | undefined>;

const SHOWN = 10;

/** The documents on this machine, as a broker would load them: mistakes, lint, and reviews that are due. */
export async function policy(path: string, said: boolean, check: CheckDocuments): Promise<readonly Finding[]> {
  if (!existsSync(path)) {
    if (!said) return [];
    return [bad("policy files", `${path} is not there`, { next: "Correct STINT_CONFIG, or make a first policy: stint init" })];
  }
  const answer = await check(path);
  if (answer === undefined) return [leftOut("policy files", "this installation has no server part that could read them")];
  const { ok: sound, problems } = read(answer);
  if (problems === undefined) return [bad("policy files", `${path} could not be checked`, { next: "stint policy check says why" })];
  if (problems.length === 0) return [ok("policy files", `${path} loads, without a complaint`)];
  const worstFirst = problems.toSorted((a, b) => Number(b.severity === "error") - Number(a.severity === "error"));
  const shown = worstFirst.slice(0, SHOWN).map((one) => toFinding(one));
  const more = problems.length - shown.length;
  if (more > 0)
    shown.push((sound ? warn : bad)("policy files", `and ${count(more, "more problem")}`, { next: "stint policy check lists them all" }));
  return shown;
}

function read(answer: string): { readonly ok: boolean; readonly problems?: readonly Problem[] } {
  try {
    const body = JSON.parse(answer) as { readonly ok?: unknown; readonly problems?: unknown };
    return { ok: body.ok === true, ...(Array.isArray(body.problems) ? { problems: body.problems as readonly Problem[] } : {}) };
  } catch {
    return { ok: false };
  }
}

function toFinding({ file, line, path, rule, severity, message, help }: Problem): Finding {
  const place = [file, line].filter((part) => part !== undefined).join(":");
  const what = [place, path, message].filter((part) => part !== undefined && part !== "").join(": ");
  const rest = {
    ...(rule === undefined ? {} : { why: `lint: ${rule}` }),
    next: help ?? "docs/policy.md says what stands there",
  };
  return severity === "error" ? bad("policy files", what, rest) : warn("policy files", what, rest);
}

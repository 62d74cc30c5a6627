import { formatDuration } from "../../domain/time.ts";
import type { TargetView } from "../../domain/wire.ts";
import { bad, ok, warn, type Finding } from "./finding.ts";

/** Kinds whose things can be listed, so that a target can be compared with the leases. */
const LISTED: ReadonlySet<string> = new Set(["postgres"]);
const DAY_MS = 86_400_000;
const PASSWORD_OLD_MS = 90 * DAY_MS;

/** How one target stands: every trouble that its broker knows of. */
export function judgeTarget(target: TargetView, now: number): readonly Finding[] {
  const check = `target ${target.name}`;
  const found = [standing(target, check), troubled(target, check), compared(target, check), password(target, check, now)];
  found.push(
    ...target.warnings.map((text) =>
      warn(check, text, { next: "docs/issuers says what the broker's account there should be able to do." }),
    ),
  );
  const said = found.filter((one) => one !== undefined);
  return said.length > 0 ? said : [ok(check, `${target.issuer}${target.server === null ? "" : `, ${target.server}`}, open`)];
}

function standing({ state, ending, waiting, name }: TargetView, check: string): Finding | undefined {
  const queue = `${ending + waiting} leases wait to be ended there`;
  if (state === "left_alone")
    return bad(check, `it failed several times and is left alone for a moment; ${queue}`, {
      why: "Nothing is made there, and what is due there stays alive.",
      next: `Is it up, and does the broker's own credential still open it? Then: stint target reconcile ${name} --dry-run`,
    });
  if (state === "failing") return warn(check, `its last calls failed; ${queue}`, { next: "Is it up? The broker's log names the answer." });
  if (state === "retired" && ending + waiting > 0)
    return warn(check, `the policy no longer has it, and ${queue}`, { next: "Put its document back until they have ended." });
  return undefined;
}

const troubled = ({ trouble, name }: TargetView, check: string): Finding | undefined =>
  trouble === null
    ? undefined
    : warn(check, `${trouble.what} failed at ${trouble.at}`, {
        why: trouble.error,
        next: `Mend that, then: stint target reconcile ${name} --dry-run`,
      });

function compared({ findings, issuer, state, name }: TargetView, check: string): Finding | undefined {
  if (findings === null)
    return LISTED.has(issuer) && state !== "retired"
      ? warn(check, "it was never compared with the leases", {
          why: "What lives there and belongs to no lease would go unseen.",
          next: `stint target reconcile ${name} --dry-run`,
        })
      : undefined;
  if (findings.failed > 0)
    return warn(check, `${findings.failed} orphans could not be ended`, {
      next: "The next comparison tries again; the log names the answer.",
    });
  if (findings.mode === "shown" && findings.orphaned + findings.missed > 0)
    return warn(check, `${findings.orphaned} orphans live there, ${findings.missed} leases have nothing there`, {
      next: `stint target reconcile ${name} --reason WHY ends them`,
    });
  return undefined;
}

function password(target: TargetView, check: string, now: number): Finding | undefined {
  if (target.password_changed_at === null) return undefined;
  const age = now - Date.parse(target.password_changed_at);
  if (age <= PASSWORD_OLD_MS) return undefined;
  return warn(check, `the broker's password there is ${formatDuration(Math.floor(age / DAY_MS) * DAY_MS)} old`, {
    next: `stint target rotate ${target.name}`,
  });
}

import type { LeaseView } from "../../domain/wire.ts";
import type { Column } from "./output.ts";
import { clean, type Screen } from "./screen.ts";
import { clockTime, relative } from "./times.ts";

/** A lease's state with its colour: green lives, yellow ends soon or is being ended, red needs a person, grey is over. */
export function stateText(lease: LeaseView, screen: Screen, now: number): string {
  const { color } = screen;
  switch (lease.state) {
    case "active": {
      const life = Date.parse(lease.expires_at) - Date.parse(lease.opened_at);
      return Date.parse(lease.expires_at) - now < life / 5 ? color.yellow("◐ active") : color.green("● active");
    }
    case "pending":
      return color.yellow("○ pending");
    case "revoking":
      return color.yellow("◐ revoking");
    case "stuck":
      return color.red("✗ stuck");
    case "forced":
      return color.red("! forced");
    case "revoked":
      return color.dim("· revoked");
  }
}

/** What a list of leases shows. */
export function leaseColumns(screen: Screen, now: number): readonly Column<LeaseView>[] {
  return [
    { title: "lease", whole: true, value: (one) => one.id },
    { title: "state", value: (one) => one.state, show: (one) => stateText(one, screen, now) },
    { title: "workload", value: (one) => one.workload },
    { title: "grant", value: (one) => one.grant },
    { title: "task", value: (one) => one.task, optional: 2 },
    { title: "kill", optional: 1, value: (one) => one.revocation, show: (one) => one.revocation.replaceAll("_", "-") },
    {
      title: "ends",
      value: (one) => one.ended_at ?? one.expires_at,
      show: (one) => (one.ended_at === null ? relative(one.expires_at, now) : `${one.ended_by ?? ""} ${relative(one.ended_at, now)}`),
    },
  ];
}

/** All of one lease. */
export function leaseRows(lease: LeaseView, screen: Screen, now: number): (readonly [string, string])[] {
  const rows: (readonly [string, string])[] = [
    ["lease", lease.id],
    ["state", stateText(lease, screen, now)],
    ["workload", clean(lease.workload)],
    ["subject", clean(lease.subject)],
    ["grant", `${clean(lease.grant)} (issuer ${clean(lease.issuer)}, trust ${clean(lease.trust)})`],
    ["task", lease.task],
    ["opened", `${clockTime(lease.opened_at, now)} (${relative(lease.opened_at, now)})`],
    ["expires", `${clockTime(lease.expires_at, now)} (${relative(lease.expires_at, now)})`],
  ];
  if (lease.ended_at !== null) rows.push(["ended", `${clockTime(lease.ended_at, now)} by ${lease.ended_by ?? "?"}`]);
  rows.push(["kill", KILLS[lease.revocation]]);
  if (lease.attempts > 0) rows.push(["attempts", String(lease.attempts)]);
  if (lease.last_error !== null) rows.push(["error", clean(lease.last_error)]);
  return rows;
}

/** What each class of revocation promises. */
export const KILLS = {
  immediate: "immediate: dead at the target once revoked",
  verifier_checked: "verifier-checked: registered verifiers ask before they believe it",
  expiry_only: "expiry-only: verifiers that do not ask may honour it until it expires",
} as const;

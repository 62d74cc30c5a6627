import type { HttpPath } from "./options.ts";
import type { Peer, PeerLane } from "./peer.ts";
import type { Program } from "./programs.ts";
import type { EvidenceAlg } from "./scenario.ts";

/** One program on one path. */
export interface Lane {
  readonly name: string;
  readonly program: Program;
  readonly route: string;
  /** Of the peer: what it is asked, and how. */
  readonly peer?: PeerLane;
}

/** The broker's share of the floor's throughput that we want. */
export const GOALS: Readonly<Record<HttpPath, number>> = { "issue-es256": 0.85, "issue-rs256": 0.85, introspect: 0.9, revoke: 0.9 };
/** What a right answer of floor and broker holds. */
export const EXPECTED: Readonly<Record<HttpPath, string>> = {
  "issue-es256": '"access_token":"',
  "issue-rs256": '"access_token":"',
  introspect: '"active":true',
  revoke: "{}",
};

export const isIssue = (path: HttpPath): boolean => path.startsWith("issue-");
export const algOf = (path: HttpPath): EvidenceAlg => (path === "issue-rs256" ? "RS256" : "ES256");

/** Who takes part on a path: the floor, the broker, then whoever is measured beside them. */
export function lanesOf(
  path: HttpPath,
  { floor, broker, peer }: { readonly floor: Program; readonly broker: Program; readonly peer?: Peer | undefined },
): readonly [floor: Lane, broker: Lane, ...others: Lane[]] {
  const route = isIssue(path) ? "token" : path;
  const both: readonly [Lane, Lane] = [
    { name: "floor", program: floor, route },
    { name: "broker", program: broker, route },
  ];
  const peers =
    peer === undefined ? [] : peer.lanes(path).map((lane) => ({ name: lane.name, program: peer, route: lane.route, peer: lane }));
  if (path === "issue-es256") return [...both, { name: "floor + task token", program: floor, route: "token-and-task-token" }, ...peers];
  if (path === "introspect") return [...both, { name: "floor by hash", program: floor, route: "introspect-by-hash" }, ...peers];
  return [...both, ...peers];
}

import { parseArgs } from "node:util";

/** What can be measured; `issue` stands for both kinds of evidence. */
export const PATHS = [
  "issue-es256",
  "issue-rs256",
  "introspect",
  "revoke",
  "sweep",
  "memory",
  "mark",
  "verify",
  "feed",
  "x509",
  "postgres",
  "load",
  "layouts",
  "starts",
] as const;
export type Path = (typeof PATHS)[number];
/** Over HTTP, against the floor; the others look at the store alone, `verify` at `stint/verify`, `x509` and `postgres` at their issuers alone, `load` at the broker past what it can do, `layouts` at Redis on one and several primaries, `starts` at the start of a broker. */
export const HTTP_PATHS = ["issue-es256", "issue-rs256", "introspect", "revoke"] as const satisfies readonly Path[];
export type HttpPath = (typeof HTTP_PATHS)[number];

export interface BenchOptions {
  readonly paths: ReadonlySet<Path>;
  readonly rounds: number;
  readonly seconds: number;
  /** A round ends after this many requests instead; for a short look that need not be fair. */
  readonly requests: number | undefined;
  readonly connections: number;
  /** `appendfsync` of the Redis beneath both programs; `off`: no append-only file. */
  readonly fsync: "always" | "everysec" | "no" | "off";
  /** Where the broker's store stands on the HTTP paths: on the floor's Redis, behind Sentinel, or on a Cluster. */
  readonly store: (typeof STORES)[number];
  /** Live leases for what is measured on the store alone. */
  readonly leases: number;
  /** CPU profiles of floor and broker are left here. */
  readonly profile: string | undefined;
  /** Other token servers are measured in the same rounds. */
  readonly peers: boolean;
  /** Told what is going on. */
  readonly say: (text: string) => void;
}

export interface CommandLine extends BenchOptions {
  readonly json: boolean;
  readonly out: string;
  /** Whether ratios are held against the last landed report, or replace it. */
  readonly landed: "left" | "compared" | "replaced";
}

export const USAGE = `npm run bench -- [--only issue,sweep] [--rounds 5] [--seconds 3] [--connections 32] [--fsync everysec] [--store single] [--full] [--json] [--out FILE]

  --only         issue, issue-es256, issue-rs256, introspect, revoke, sweep, memory, mark, verify, feed, x509, postgres, load, layouts, starts; several with commas
  --rounds       rounds of each program, interleaved; the median and the spread are reported
  --seconds      length of a round
  --requests     length of a round in requests instead
  --connections  requests in flight
  --fsync        durability of the Redis beneath: always, everysec, no, off
  --store        where the broker's store stands on the HTTP paths: single, sentinel (two replicas), cluster (three primaries, a replica each)
  --full         1,000,000 live leases for sweep, memory, mark, feed and starts instead of 100,000
  --profile      flame graphs and CPU profiles of floor and broker, in bench-profile or in the folder named
  --no-peers     leave out node-oidc-provider
  --compare      hold the ratios against docs/bench/last.json; exit 9 when one is worse by more than the spread
  --land         write them there instead
  --json         print the report as JSON
  --out          where the JSON is written; bench-report.json unless told otherwise`;

const STORES = ["single", "sentinel", "cluster"] as const;
const FSYNC = ["always", "everysec", "no", "off"] as const;

/** Reads the command line. Throws an Error that says what was expected. */
export function readOptions(args: readonly string[], say: (text: string) => void): CommandLine {
  const { values } = parseArgs({
    args: withFolder(args),
    options: {
      only: { type: "string", multiple: true },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      requests: { type: "string" },
      connections: { type: "string", default: "32" },
      fsync: { type: "string", default: "everysec" },
      store: { type: "string", default: "single" },
      full: { type: "boolean", default: false },
      profile: { type: "string" },
      "no-peers": { type: "boolean", default: false },
      compare: { type: "boolean", default: false },
      land: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      out: { type: "string", default: "bench-report.json" },
    },
  });
  const fsync = FSYNC.find((name) => name === values.fsync);
  if (fsync === undefined) throw new Error(`--fsync: expected ${FSYNC.join(", ")}`);
  const store = STORES.find((name) => name === values.store);
  if (store === undefined) throw new Error(`--store: expected ${STORES.join(", ")}`);
  if (store !== "single" && (values.land || values.compare)) throw new Error("--store: what was landed stood on one Redis");
  if (values.land && values.compare) throw new Error("--land and --compare: expected one of them");
  return {
    paths: pathsOf(values.only),
    rounds: wholeNumber("rounds", values.rounds),
    seconds: wholeNumber("seconds", values.seconds),
    requests: values.requests === undefined ? undefined : wholeNumber("requests", values.requests),
    connections: wholeNumber("connections", values.connections),
    fsync,
    store,
    leases: values.full ? 1_000_000 : 100_000,
    profile: values.profile,
    peers: !values["no-peers"],
    landed: values.land ? "replaced" : values.compare ? "compared" : "left",
    say,
    json: values.json,
    out: values.out,
  };
}

/** `--profile` may stand alone. */
const withFolder = (args: readonly string[]): string[] =>
  args.flatMap((arg, index) => (arg === "--profile" && (args[index + 1] ?? "-").startsWith("-") ? [arg, "bench-profile"] : [arg]));

function pathsOf(only: readonly string[] | undefined): ReadonlySet<Path> {
  if (only === undefined) return new Set(PATHS);
  const asked = only.flatMap((text) => text.split(","));
  const known = asked.flatMap((name) => PATHS.filter((path) => path === name || (name === "issue" && path.startsWith("issue-"))));
  const unknown = asked.filter((name) => name !== "issue" && !PATHS.some((path) => path === name));
  if (unknown.length > 0) throw new Error(`--only: expected issue, ${PATHS.join(", ")}`);
  return new Set(known);
}

function wholeNumber(name: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`--${name}: expected a whole number from 1`);
  return Number(text);
}

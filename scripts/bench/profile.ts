import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { flameGraph } from "./flame.ts";

/** What a program spent its time on, microseconds of its main thread for each request it answered; start-up left out. */
export interface ProfileReport {
  readonly program: string;
  readonly requests: number;
  readonly flameGraph: string;
  readonly parts: readonly { readonly part: string; readonly us: number }[];
}

/** A CPU profile as V8 writes it, as far as it is read here. Times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Frames of each node from the outermost to the innermost, and the time that was spent right there. */
export interface Stack {
  readonly frames: readonly string[];
  readonly us: number;
}

const LOADING = /\b(?:modules\/(?:esm|cjs)|compileFolder|broker\/main\.js|evaluate |compileFunctionForCJSLoader|compileSourceTextModule)/;

/** The innermost frame that one of these fits says which part a moment belongs to; the first of them that fits a frame counts. */
const PARTS: readonly (readonly [part: string, frame: RegExp])[] = [
  ["audit export", /broker\/audit|audit-stream/],
  ["note of the credential", /noteCredential|store\/credentials/],
  ["check a signature", /verifyOneShot|verifyCompact|verifySignature/],
  ["sign", /signOneShot|signCompact|signToken/],
  ["task token", /broker\/tasks\/(?:token|signature)/],
  ["duties: sweep, feed, clocks", /broker\/(?:sweeper|duties|observe|feed|hold|status-list)|store\/(?:due|feed|clock|key-|facts)/],
  ["read evidence strictly", /broker\/attestation|policy\/template|broker\/identify|domain\/json/],
  ["decision", /broker\/policy|actions\//],
  ["log and metrics", /telemetry|request-log|node_modules\/(?:pino|prom-client|sonic-boom)|broker\/events/],
  ["form and its schema", /http\/(?:body|form)|node_modules\/zod|domain\/wire/],
  ["write the answer", /http\/send/],
  ["Redis client", /node_modules\/(?:ioredis|@ioredis)/],
  ["arguments and replies of the script", /\/store\//],
  ["lease and plan", /broker\/(?:leases|requests|denials|tokens)/],
  ["HTTP: route, call, answer", /broker\/http/],
  ["express", /node_modules\/(?:express|router|path-to-regexp)/],
  ["the program itself", /scripts\/bench\/floor/],
  ["garbage", /garbage collector/],
  ["HTTP: parse, sockets", /node:_http|node:net|node:internal\/stream|socketaddress/],
  ["promises and timers", /runMicrotasks|task_queues|node:internal\/timers|async_hooks/],
];
/** What belongs to these belongs to them as a whole, however deep. */
const WHOLE = 2;

/** Reads what the programs left behind when they ended, and draws it. */
export function readProfiles(folder: string, served: ReadonlyMap<string, number>): readonly ProfileReport[] {
  const reports: ProfileReport[] = [];
  for (const [program, requests] of served) {
    const path = join(folder, `${program}.cpuprofile`);
    if (!existsSync(path)) continue;
    const stacks = stacksOf(JSON.parse(readFileSync(path, "utf8")) as CpuProfile);
    const drawn = join(folder, `${program}.svg`);
    writeFileSync(drawn, flameGraph(stacks, `${program}: ${requests} requests`));
    reports.push({ program, requests, flameGraph: drawn, parts: partsOf(stacks, requests) });
  }
  return reports;
}

/** The stacks of a profile without idling. */
export function stacksOf(profile: CpuProfile): readonly Stack[] {
  const parents = new Map(profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const labels = new Map(profile.nodes.map(({ id, callFrame }) => [id, labelOf(callFrame)]));
  const times = new Map<number, number>();
  for (const [index, id] of profile.samples.entries()) times.set(id, (times.get(id) ?? 0) + (profile.timeDeltas[index] ?? 0));
  const stacks: Stack[] = [];
  for (const [id, us] of times) {
    const frames: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) frames.unshift(labels.get(at) ?? "");
    if (frames.at(-1)?.startsWith("(idle)") !== true) stacks.push({ frames: frames.slice(1), us });
  }
  return stacks;
}

const labelOf = ({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string => {
  const file = url.replace(/^file:\/\//, "").replace(/^.*\/(?=node_modules\/|dist\/)/, "");
  return `${functionName === "" ? "(anonymous)" : functionName} ${file === "" ? "" : `${file}:${lineNumber + 1}`}`.trim();
};

/** Microseconds a request of each part, the largest first. */
export function partsOf(stacks: readonly Stack[], requests: number): ProfileReport["parts"] {
  const sums = new Map<string, number>();
  for (const { frames, us } of stacks) {
    if (frames.some((frame) => LOADING.test(frame))) continue;
    const part = partOf(frames);
    sums.set(part, (sums.get(part) ?? 0) + us);
  }
  return [...sums].map(([part, us]) => ({ part, us: us / Math.max(1, requests) })).toSorted((a, b) => b.us - a.us);
}

function partOf(frames: readonly string[]): string {
  const whole = PARTS.slice(0, WHOLE).find(([, frame]) => frames.some((text) => frame.test(text)));
  if (whole !== undefined) return whole[0];
  // sockets and promises are beneath everything: they count only where nothing else does
  for (const parts of [PARTS.slice(0, -2), PARTS.slice(-2)]) {
    for (const text of frames.toReversed()) {
      const found = parts.find(([, frame]) => frame.test(text));
      if (found !== undefined) return found[0];
    }
  }
  return "other";
}

import type { PathReport } from "./path-reports.ts";

const WIDTH = 40;

/** Throughput of every program on each path, as bars beside the floor's; a plot that any terminal and any log can show. */
export function plot(paths: readonly PathReport[]): string {
  const names = paths.flatMap(({ floor, broker, others }) => [floor, broker, ...others].map(({ lane }) => lane.length));
  const wide = Math.max(...names);
  return paths
    .flatMap(({ path, ratio, floor, broker, others }) => {
      const all = [
        { name: floor.lane, share: 1 },
        { name: broker.lane, share: ratio.median },
        ...others.map(({ lane, toFloor }) => ({ name: lane, share: toFloor?.median ?? Number.NaN })),
      ].filter(({ share }) => Number.isFinite(share));
      const most = Math.max(...all.map(({ share }) => share));
      return [path, ...all.map(({ name, share }) => `  ${name.padEnd(wide)} ${bar(share / most)} ${share.toFixed(2)}`)];
    })
    .map((line) => `  ${line}`)
    .join("\n");
}

const bar = (share: number): string => "█".repeat(Math.max(1, Math.round(share * WIDTH))).padEnd(WIDTH);

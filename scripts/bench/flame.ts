import type { Stack } from "./profile.ts";

const WIDTH = 1_600;
const ROW = 16;
const HEAD = 28;
/** Narrower than this nobody can see it. */
const NARROWEST = 0.4;
const LETTER = 6.6;

interface Frame {
  readonly name: string;
  us: number;
  readonly below: Map<string, Frame>;
}

/**
 * A flame graph as one SVG that any browser shows: width is time, callers stand above what they call, and a pointer over a frame
 * names it with its share. No script in it.
 */
export function flameGraph(stacks: readonly Stack[], title: string): string {
  const root: Frame = { name: title, us: 0, below: new Map() };
  for (const { frames, us } of stacks) {
    let at = root;
    at.us += us;
    for (const name of frames) {
      let next = at.below.get(name);
      if (next === undefined) at.below.set(name, (next = { name, us: 0, below: new Map() }));
      next.us += us;
      at = next;
    }
  }
  const boxes: string[] = [];
  const deepest = draw(root, { x: 0, depth: 0, total: Math.max(1, root.us) }, boxes);
  const height = HEAD + (deepest + 1) * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="100%" font-family="monospace" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="4" y="18" font-size="14">${escaped(title)}, ${Math.round(root.us / 1000)} ms of its main thread</text>
${boxes.join("\n")}
</svg>
`;
}

/** Draws a frame and everything in it; the depth that was reached. */
function draw(frame: Frame, at: { readonly x: number; readonly depth: number; readonly total: number }, boxes: string[]): number {
  const width = (frame.us / at.total) * WIDTH;
  if (width < NARROWEST) return at.depth;
  const y = HEAD + at.depth * ROW;
  const share = ((frame.us * 100) / at.total).toFixed(1);
  const room = Math.floor((width - 4) / LETTER);
  const label = room < 3 ? "" : `<text x="${(at.x + 2).toFixed(1)}" y="${y + 12}">${escaped(frame.name.slice(0, room))}</text>`;
  boxes.push(
    `<g><title>${escaped(frame.name)}: ${share} %</title><rect x="${at.x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(frame.name)}"/>${label}</g>`,
  );
  let x = at.x;
  let deepest = at.depth;
  for (const next of [...frame.below.values()].toSorted((a, b) => b.us - a.us)) {
    deepest = Math.max(deepest, draw(next, { ...at, x, depth: at.depth + 1 }, boxes));
    x += (next.us / at.total) * WIDTH;
  }
  return deepest;
}

/** Ours are orange, libraries green, Node blue, what has no file grey. */
function colour(name: string): string {
  if (name.includes("node_modules/")) return "#b5dba4";
  if (name.includes("dist/")) return "#f6b26b";
  return name.includes("node:") ? "#a9c9ec" : "#d9d9d9";
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (letter) => ENTITIES[letter] ?? "");

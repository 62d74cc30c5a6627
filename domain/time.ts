/** Milliseconds since 1970 UTC. Time is always an argument: a test moves it, nothing sleeps. */
export type Clock = () => number;

/** The one place that reads the machine's clock. */
export const systemClock: Clock = () => Date.now();

/** Allowance, in milliseconds, for the difference between our clock and that of whoever signed a token. */
export const SKEW_MS = 30_000;

/** Store and broker clocks may differ by this much before opening and renewing stop. */
export const CLOCK_AGREEMENT_MS = 2_000;

/** RFC 3339 in UTC with milliseconds, as every time outside OAuth is written. */
export function toRfc3339(ms: number): string {
  if (!Number.isInteger(ms)) return new Date(ms).toISOString();
  const second = Math.floor(ms / 1000);
  const thousandths = ms - second * 1000;
  // what is written down in one second begins alike; ends of leases lie minutes ahead of what is written beside them
  const place = second & 15;
  if (SECONDS[place] !== second) {
    TEXTS[place] = new Date(ms).toISOString().slice(0, -4);
    SECONDS[place] = second;
  }
  return `${TEXTS[place]}${thousandths < 10 ? "00" : thousandths < 100 ? "0" : ""}${thousandths}Z`;
}

/** The last seconds that were written, and their texts up to the point. */
const SECONDS: number[] = Array.from({ length: 16 }, () => Number.NaN);
const TEXTS: string[] = Array.from({ length: 16 }, () => "");

/** Whole seconds, rounded down: what `exp`, `iat` and `nbf` hold. */
export const toSeconds = (ms: number): number => Math.floor(ms / 1000);

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `"10m"`, `"1h30m"`, `"500ms"`, or a number of seconds, in milliseconds; undefined when it is none of these. */
export function parseDuration(text: string | number): number | undefined {
  if (typeof text === "number") return Number.isFinite(text) && text >= 0 ? Math.round(text * 1000) : undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (text.length > 32 || !/^(?:\d{1,9}(?:ms|[smhd]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhd])/g)) total += Number(count) * (UNITS[unit ?? ""] ?? 0);
  return total;
}

/** The shortest way to write a span for people: `90_000` is `1m30s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  let rest = Math.round(ms / 1000);
  let text = "";
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) text += `${count}${unit}`;
  }
  return text;
}

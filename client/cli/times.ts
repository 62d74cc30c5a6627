import { formatDuration } from "../../domain/time.ts";

/** `in 9m12s`, `3m5s ago`, or `now`: how far an RFC 3339 time is from `now` (milliseconds). */
export function relative(time: string | null | undefined, now: number): string {
  const at = time == null ? Number.NaN : Date.parse(time);
  if (Number.isNaN(at)) return "-";
  const away = at - now;
  if (Math.abs(away) < 1000) return "now";
  return away > 0 ? `in ${brief(away)}` : `${brief(-away)} ago`;
}

/** `14:31:07Z` within a day, else with the date. */
export function clockTime(time: string | null | undefined, now: number): string {
  const at = time == null ? Number.NaN : Date.parse(time);
  if (Number.isNaN(at)) return "-";
  const text = new Date(at).toISOString();
  return Math.abs(at - now) < 86_400_000 ? `${text.slice(11, 19)}Z` : `${text.slice(0, 10)} ${text.slice(11, 16)}Z`;
}

/** The two largest units: seconds do not matter in days. */
function brief(ms: number): string {
  const size = ms >= 172_800_000 ? 3_600_000 : ms >= 3_600_000 ? 60_000 : 1000;
  return formatDuration(Math.floor(ms / size) * size);
}

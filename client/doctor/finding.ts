/** How one thing stands. `left_out`: it could not be looked at from here, and `next` says how it could. */
export type Status = "ok" | "warn" | "fail" | "left_out";

/** One thing that was looked at: what was found and, unless it is well, why that matters and what mends it. */
export interface Finding {
  readonly check: string;
  readonly status: Status;
  readonly what: string;
  readonly why?: string;
  readonly next?: string;
}

type Rest = { readonly why?: string; readonly next?: string };

export const ok = (check: string, what: string): Finding => ({ check, status: "ok", what });
export const warn = (check: string, what: string, rest: Rest = {}): Finding => ({ check, status: "warn", what, ...rest });
export const bad = (check: string, what: string, rest: Rest = {}): Finding => ({ check, status: "fail", what, ...rest });
export const leftOut = (check: string, what: string, next?: string): Finding => ({
  check,
  status: "left_out",
  what,
  ...(next === undefined ? {} : { next }),
});

/** `1 lease`, `3 leases`. */
export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

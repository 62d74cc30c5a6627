import { VerifyError } from "./errors.ts";
import type { Verified } from "./known-tokens.ts";

/** What a route needs beyond a token that is honoured. */
export interface Needs {
  /** Scopes, all of them. */
  readonly scope?: string | readonly string[];
  /** True: some task; a text: this one. */
  readonly task?: boolean | string;
}

/** One text or several, each perhaps holding several: `("a b", "c")` is three scopes. */
export const scopeList = (...scopes: readonly string[]): readonly string[] =>
  scopes.flatMap((text) => text.split(" ")).filter((scope) => scope !== "");

/** Throws `insufficient_scope` naming all scopes that are needed, or `no_task`. */
export function checkNeeds({ scopes, payload }: Pick<Verified, "scopes" | "payload">, { scope = [], task = false }: Needs): void {
  const needed = scopeList(...(typeof scope === "string" ? [scope] : scope));
  const lease = payload.lease_id;
  if (!needed.every((one) => scopes.includes(one))) throw new VerifyError("insufficient_scope", { lease, scopes: needed });
  if (task === false) return;
  const held = payload.task_id;
  if (held === undefined || held === "" || (task !== true && held !== task)) throw new VerifyError("no_task", { lease });
}

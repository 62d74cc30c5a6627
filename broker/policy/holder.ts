import { statSync, watch } from "node:fs";
import { dirname } from "node:path";
import type { Problem } from "../../domain/errors.ts";
import type { PolicyContext } from "./compile.ts";
import { loadPolicy } from "./load.ts";
import type { Policy } from "./policy.ts";

/** What came of a reload. When `ok` is false the policy before it is still in force. */
export interface Reload {
  readonly ok: boolean;
  readonly before: Policy;
  readonly policy: Policy;
  readonly problems: readonly Problem[];
}

/** Several writes of one deployment arrive within this many milliseconds. */
const SETTLE_MS = 200;

/** Holds the policy in force. A reload replaces it whole, or not at all. */
export class PolicyHolder {
  readonly #path: string;
  readonly #context: () => PolicyContext;
  #policy: Policy;
  #problems: readonly Problem[];
  #running: Promise<Reload> | undefined;
  #queued: Promise<Reload> | undefined;

  private constructor(path: string, context: () => PolicyContext, policy: Policy, problems: readonly Problem[]) {
    this.#path = path;
    this.#context = context;
    this.#policy = policy;
    this.#problems = problems;
  }

  /** Loads for the first time. Without a sound policy there is no holder, only the problems. */
  static async open(
    path: string,
    context: () => PolicyContext,
  ): Promise<{ readonly holder: PolicyHolder | undefined; readonly problems: readonly Problem[] }> {
    const { policy, problems } = await loadPolicy(path, context());
    return { holder: policy === undefined ? undefined : new PolicyHolder(path, context, policy, problems), problems };
  }

  /** The policy in force. Take it once per request: the next call may give another. */
  current(): Policy {
    return this.#policy;
  }

  /** What the last load or reload found, whether or not it came into force. */
  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Loads everything anew and swaps it in if it is sound. Calls made while one runs share the next one. */
  reload(): Promise<Reload> {
    if (this.#running === undefined) return (this.#running = this.#load().finally(() => (this.#running = undefined)));
    return (this.#queued ??= this.#running.then(
      () => ((this.#queued = undefined), this.reload()),
      () => ((this.#queued = undefined), this.reload()),
    ));
  }

  async #load(): Promise<Reload> {
    const before = this.#policy;
    const { policy, problems } = await loadPolicy(this.#path, this.#context());
    this.#problems = problems;
    if (policy !== undefined) this.#policy = policy;
    return { ok: policy !== undefined, before, policy: this.#policy, problems };
  }

  /** Reloads when the file or folder changes (STINT_WATCH=1) and tells of it. Returns how to stop. */
  watch(onReload: (reload: Reload) => void, onFailure: (error: unknown) => void): () => void {
    let timer: NodeJS.Timeout | undefined;
    const later = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => void this.reload().then(onReload, onFailure), SETTLE_MS);
      timer.unref();
    };
    // A file is watched through its folder: editors replace it, and a watch on what it was would go on for ever.
    const folder = statSync(this.#path).isDirectory() ? this.#path : dirname(this.#path);
    const watcher = watch(folder, { persistent: false }, later);
    watcher.on("error", onFailure);
    return () => {
      clearTimeout(timer);
      watcher.close();
    };
  }
}

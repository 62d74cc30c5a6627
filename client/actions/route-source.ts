import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { compileRoutes, type Routes } from "../../actions/routes.ts";
import { RoutesView } from "../../domain/wire.ts";
import { writePrivateFile } from "../deliver/private-file.ts";

/** A verifier's routes and what a verifier needs beside them. */
export interface HeldRoutes {
  readonly issuer: string;
  readonly audience: string;
  readonly routes: Routes;
}

export interface RouteSourceOptions {
  /** The broker, which is the issuer. */
  readonly url: string;
  readonly name: string;
  readonly key: string;
  readonly fetch: typeof fetch;
  /** Where the last good answer is kept, so that a start needs no broker. */
  readonly cacheFile: string | undefined;
  readonly log: (event: string, facts: Readonly<Record<string, unknown>>) => void;
}

const MAX_CHARACTERS = 4 * 1024 * 1024;
const TIMEOUT_MS = 5_000;

/** Routes from the broker; the last good ones stay in force while it is away or sends what cannot be used. */
export class RouteSource {
  readonly #options: RouteSourceOptions;
  #held: HeldRoutes | undefined;
  #etag: string | undefined;
  #trouble: string | undefined;

  constructor(options: RouteSourceOptions) {
    this.#options = options;
  }

  get held(): HeldRoutes | undefined {
    return this.#held;
  }

  /** Fetches what has changed. Never throws: what went wrong is logged once, and what was held is kept. */
  async refresh(): Promise<void> {
    try {
      const text = await this.#fetch();
      if (text === undefined) return;
      this.#held = this.#read(text);
      await this.#keep(text);
      this.#say(undefined);
    } catch (error) {
      this.#etag = undefined;
      this.#say(error instanceof Error ? error.message : "unknown");
    }
  }

  /** Takes the kept answer, where there is one and nothing better. */
  async restore(): Promise<void> {
    const { cacheFile, log } = this.#options;
    if (cacheFile === undefined || this.#held !== undefined) return;
    try {
      this.#held = this.#read(await readFile(cacheFile, "utf8"));
      log("routes_restored", { policy: this.#held.routes.policy });
    } catch (error) {
      log("routes_not_restored", { error: error instanceof Error ? error.message : "unknown" });
    }
  }

  async #fetch(): Promise<string | undefined> {
    const { url, name, key, fetch } = this.#options;
    const response = await fetch(`${url}/v1/verifiers/self/routes`, {
      headers: {
        authorization: `Basic ${Buffer.from(`${encodeURIComponent(name)}:${encodeURIComponent(key)}`).toString("base64")}`,
        ...(this.#etag === undefined ? {} : { "if-none-match": this.#etag }),
      },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status === 304) return void this.#say(undefined);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`the broker answered ${response.status} when asked for the routes`);
    if (text.length > MAX_CHARACTERS) throw new Error("the routes are longer than can be right");
    this.#etag = response.headers.get("etag") ?? undefined;
    return text;
  }

  #read(text: string): HeldRoutes {
    const { verifier, issuer, audience, policy, routes } = RoutesView.parse(JSON.parse(text));
    const { url, name } = this.#options;
    if (verifier !== name) throw new Error(`the routes are those of ${verifier}`);
    if (issuer !== url) throw new Error(`the broker calls itself ${issuer}: ask it by that name, which stands in its tokens`);
    const compiled = compileRoutes(verifier, routes, policy, () => ({ file: "", line: 0 }));
    const [fault] = compiled.faults;
    if (fault !== undefined) throw new Error(`route ${fault.index} cannot be used here: ${fault.message}`);
    return { issuer, audience, routes: compiled.routes };
  }

  async #keep(text: string): Promise<void> {
    const { cacheFile, log } = this.#options;
    log("routes_read", { policy: this.#held?.routes.policy, routes: this.#held?.routes.all.length });
    if (cacheFile === undefined) return;
    try {
      await mkdir(dirname(cacheFile), { recursive: true });
      // whole or not at all: a start may come at any moment
      await writePrivateFile(cacheFile, text);
    } catch (error) {
      log("routes_not_kept", { error: error instanceof Error ? error.message : "unknown" });
    }
  }

  #say(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#options.log(trouble === undefined ? "routes_current" : "routes_failed", trouble === undefined ? {} : { error: trouble });
  }
}

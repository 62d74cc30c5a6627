import type { Claims } from "../domain/principal.ts";
import { NOW_INPUT, nowInput, whenCompiler, type When, type WhenContext } from "./cel.ts";
import { compileGlob } from "./glob.ts";
import { isLoose, loosePath, pathFault } from "./path.ts";

/** One exact action as people write it. */
export interface RouteDocument {
  readonly method?: string | readonly string[] | undefined;
  readonly path: string;
  readonly require?: { readonly scope?: readonly string[] | undefined } | undefined;
  readonly when?: string | undefined;
}

/** A route, compiled. Nothing in it can throw. */
export interface Route {
  /** `deploy-api.routes[0]` */
  readonly id: string;
  /** Its place among those written. */
  readonly index: number;
  readonly file: string;
  readonly line: number;
  /** Undefined: any. */
  readonly methods: ReadonlySet<string> | undefined;
  /** The glob, as written. */
  readonly pattern: string;
  readonly matches: (path: string) => boolean;
  /** The same for paths as the most lenient upstream reads them. */
  readonly matchesLoosely: (path: string) => boolean;
  /** Every one of them is needed. */
  readonly scope: readonly string[];
  readonly when: When | undefined;
}

/** A verifier's routes in order: the first that matches decides. */
export interface Routes {
  /** The verifier's. */
  readonly name: string;
  /** Version of the policy they come from. */
  readonly policy: string;
  readonly all: readonly Route[];
  /** Those that a method can meet, in order; other methods meet `forAny`. */
  readonly byMethod: ReadonlyMap<string, readonly Route[]>;
  readonly forAny: readonly Route[];
  /** Whether some pattern is itself one that can be read in other ways (capitals, a slash at its end). */
  readonly loose: boolean;
}

/** A mistake in a route: where in it, and what. `offset` is a character of the member's text. */
export interface RouteFault {
  readonly index: number;
  readonly at: readonly (string | number)[];
  readonly message: string;
  readonly help?: string;
  readonly offset?: number;
}

/** Where routes were written, for traces. */
export type PlaceOf = (index: number) => { readonly file: string; readonly line: number };

/** What decides besides the routes: one request, its path read by `readPath`, and the claims of a token that was verified. */
export interface Asked {
  readonly token: Claims;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly ip: string;
  /** What the asker says of the request beyond this; data, believed as far as the asker is. */
  readonly context: Readonly<Record<string, unknown>>;
  /** Milliseconds. */
  readonly now: number;
}

const compileWhen = whenCompiler({
  records: { request: { method: "string", path: "string", host: "string", ip: "string", context: "map<string, dyn>" }, now: NOW_INPUT },
  maps: ["token"],
});

/** The inputs of a route's `when`. */
export const routeContext = (asked: Asked): WhenContext => ({
  token: asked.token,
  request: { method: asked.method, path: asked.path, host: asked.host, ip: asked.ip, context: asked.context },
  now: nowInput(asked.now),
});

/** Compiles a verifier's routes and says everything that is wrong with them; with a fault they must not be used. */
export function compileRoutes(
  name: string,
  documents: readonly RouteDocument[],
  policy: string,
  placeOf: PlaceOf,
): { readonly routes: Routes; readonly faults: readonly RouteFault[] } {
  const faults: RouteFault[] = [];
  const all: Route[] = [];
  for (const [index, document] of documents.entries()) {
    const matches = compilePath(document.path, index, faults);
    const when = compiled(document.when, index, faults);
    if (matches === undefined || when === "wrong") continue;
    const methods = typeof document.method === "string" ? [document.method] : (document.method ?? ["*"]);
    all.push({
      id: `${name}.routes[${index}]`,
      index,
      ...placeOf(index),
      methods: methods.includes("*") ? undefined : new Set(methods),
      pattern: document.path,
      ...matches,
      scope: [...new Set(document.require?.scope)],
      when,
    });
  }
  const forAny = all.filter(({ methods }) => methods === undefined);
  const named = new Set(all.flatMap(({ methods }) => [...(methods ?? [])]));
  const byMethod = new Map([...named].map((method) => [method, all.filter(({ methods }) => methods?.has(method) ?? true)]));
  return { routes: { name, policy, all, byMethod, forAny, loose: all.some(({ pattern }) => isLoose(pattern)) }, faults };
}

function compilePath(path: string, index: number, faults: RouteFault[]): Pick<Route, "matches" | "matchesLoosely"> | undefined {
  const fault = pathFault(path);
  if (fault !== undefined) {
    faults.push({
      index,
      at: ["path"],
      message: `${fault}, so no request could match`,
      help: "write the path decoded, from its first slash, without a query; * stops at / and :, ** does not",
    });
    return undefined;
  }
  const matches = compileGlob(path);
  const matchesLoosely = compileGlob(loosePath(path));
  if (typeof matches !== "string" && typeof matchesLoosely !== "string") return { matches, matchesLoosely };
  faults.push({ index, at: ["path"], message: String(matches) });
  return undefined;
}

function compiled(source: string | undefined, index: number, faults: RouteFault[]): When | undefined | "wrong" {
  if (source === undefined) return undefined;
  const when = compileWhen(source);
  if (!("error" in when)) return when;
  faults.push({ index, at: ["when"], message: `when: ${when.error} (character ${when.offset + 1})`, offset: when.offset });
  return "wrong";
}

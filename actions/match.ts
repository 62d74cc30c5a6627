import { isLoose, loosePath } from "./path.ts";
import type { Asked, Route, Routes } from "./routes.ts";

/** The route that decides, and another one that would decide if an upstream read the path more leniently. */
export interface Met {
  readonly route: Route | undefined;
  readonly other: Route | undefined;
}

/** Finds the first route for a method and path. */
export function meet(routes: Routes, { method, path }: Pick<Asked, "method" | "path">): Met {
  const mine = routes.byMethod.get(method) ?? routes.forAny;
  const route = mine.find(({ matches }) => matches(path));
  return { route, other: routes.loose || isLoose(path) ? otherReading(mine, path, route) : undefined };
}

function otherReading(mine: readonly Route[], path: string, route: Route | undefined): Route | undefined {
  for (const reading of [path.toLowerCase(), loosePath(path)]) {
    const found = mine.find(({ matchesLoosely }) => matchesLoosely(reading));
    if (found !== undefined && found !== route) return found;
  }
  return undefined;
}

/** Whether the token has every scope of the route; as RFC 9068 has them, one text, parted by spaces. */
export function hasScopes({ token }: Pick<Asked, "token">, { scope }: Pick<Route, "scope">): boolean {
  if (scope.length === 0) return true;
  const held = typeof token["scope"] === "string" ? token["scope"].split(" ") : [];
  return scope.every((one) => held.includes(one));
}

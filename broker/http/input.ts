import { StintError } from "../../domain/errors.ts";
import { type Id, type IdKind, isId } from "../../domain/ids.ts";
import { parseDuration } from "../../domain/time.ts";
import type { CredentialsBody } from "../../domain/wire.ts";
import type { GrantRequest } from "../services.ts";

/** The id in a path. What is no id of this kind is `not_found`, as an unknown one is: a guess learns nothing from its shape. */
export function idIn<K extends IdKind>(params: Readonly<Record<string, string>>, kind: K): Id<K> {
  const { id } = params;
  if (!isId(kind, id)) throw new StintError("not_found", "there is no such thing here");
  return id;
}

/** A span as the wire has it, in milliseconds; undefined stays undefined. Throws `invalid_request` naming the member. */
export function msOf(span: string | number | undefined, member: string): number | undefined {
  if (span === undefined) return undefined;
  const ms = parseDuration(span);
  if (ms === undefined) throw new StintError("invalid_request", `${member}: expected a span such as 10m, or a number of seconds`);
  return ms;
}

/** What a body asks of a grant, with what it left out as policy expects it. */
export function grantRequest(body: CredentialsBody): GrantRequest & { readonly grant: string } {
  return {
    grant: body.grant,
    scope: body.scope ?? [],
    ttlMs: msOf(body.ttl, "ttl"),
    purpose: body.purpose ?? "",
    environment: body.environment ?? "",
    resource: body.resource ?? "",
    options: body.options,
  };
}

import { RefusedJson } from "../../domain/json.ts";
import { OutsideError, checkUrl } from "../../outside/request.ts";
import { type OutsideOptions, type Reach, fetchOutside } from "./fetch-outside.ts";
import { type JsonObject, parseJsonObject } from "./json-object.ts";

/**
 * Where the issuer says its keys are (OpenID Connect Discovery 1.0 section 4). Its `issuer` must be ours, byte for byte, or we
 * would take another's keys for its own. Throws `OutsideError`.
 */
export async function discoverKeys(issuer: string, reach: Reach, options: OutsideOptions): Promise<string> {
  const base = checkUrl(issuer, reach);
  if (base.search !== "" || base.hash !== "") throw new OutsideError("issuer has a query or a fragment");
  const text = await fetchOutside(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, reach, options);
  const document = parseDocument(text);
  if (document["issuer"] !== issuer) throw new OutsideError("discovery document is another issuer's");
  const uri = document["jwks_uri"];
  if (typeof uri !== "string") throw new OutsideError("discovery document names no jwks_uri");
  checkUrl(uri, reach);
  return uri;
}

function parseDocument(text: string): JsonObject {
  try {
    return parseJsonObject(text);
  } catch (error) {
    throw new OutsideError(`discovery document is refused: ${error instanceof RefusedJson ? error.message : "unreadable"}`);
  }
}

/** Same scheme, host and port. */
export const sameOrigin = (a: string, b: string): boolean => new URL(a).origin === new URL(b).origin;

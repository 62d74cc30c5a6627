import type { Issuer } from "../domain/credential.ts";
import { jwtIssuer, type JwtIssuerOptions } from "./jwt/issuer.ts";

/** What the issuers need from outside. */
export type IssuerPorts = JwtIssuerOptions;

/** The one list: adding an issuer is a folder and a line here. By kind, as a grant's `issue.issuer` names it. */
export function issuerCatalog(ports: IssuerPorts): ReadonlyMap<string, Issuer> {
  const issuers: readonly Issuer[] = [jwtIssuer(ports)];
  return new Map(issuers.map((issuer) => [issuer.kind, issuer]));
}

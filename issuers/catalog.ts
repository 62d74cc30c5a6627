import type { Issuer } from "../domain/credential.ts";
import type { IssuerKind } from "../domain/target.ts";
import { githubApp } from "./github-app/issuer.ts";
import { httpKind } from "./http/issuer.ts";
import { jwtIssuer, type JwtIssuerOptions } from "./jwt/issuer.ts";
import { postgresKind } from "./postgres/kind.ts";
import { sshKind } from "./ssh/issuer.ts";
import { x509Kind } from "./x509/issuer.ts";

/** What the issuers need from outside. */
export type IssuerPorts = JwtIssuerOptions;

/** Issuers that need no target, by kind, as a grant's `issue.issuer` names them. */
export function issuerCatalog(ports: IssuerPorts): ReadonlyMap<string, Issuer> {
  const issuers: readonly Issuer[] = [jwtIssuer(ports)];
  return new Map(issuers.map((issuer) => [issuer.kind, issuer]));
}

/** Kinds that are made at targets, as a Target's `issuer` names them. Adding one is a folder and a line here. */
const KINDS: readonly IssuerKind[] = [githubApp, httpKind, postgresKind, sshKind, x509Kind];

/** By kind. */
export const issuerKinds: ReadonlyMap<string, IssuerKind> = new Map(KINDS.map((kind) => [kind.kind, kind]));

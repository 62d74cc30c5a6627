import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { peerOf, proxyList } from "./client-address.ts";

/** SHA-256 (base64url) of the certificate that the client has proven to hold; undefined when there is none (RFC 8705 section 3.1). */
export type ClientCertificate = (request: IncomingMessage) => string | undefined;

/**
 * From our own TLS, where the client's CA vouched for it; else from the header of a proxy that we trust and are connected to:
 * `Client-Cert` (RFC 9440) or Envoy's `X-Forwarded-Client-Cert`. What anybody else writes there is not even read.
 */
export function clientCertificate(trustedProxies: readonly string[]): ClientCertificate {
  const isProxy = proxyList(trustedProxies);
  return (request) => {
    if (trustedProxies.length > 0 && isProxy(peerOf(request))) return forwarded(request);
    const { socket } = request;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const der = socket.getPeerX509Certificate()?.raw;
    return der === undefined ? undefined : thumbprintOf(der);
  };
}

/** Two headers, or two certificates in one, mean that something in between did not clean up: then none counts. */
function forwarded({ headers }: IncomingMessage): string | undefined {
  const standard = headers["client-cert"];
  const envoy = headers["x-forwarded-client-cert"];
  if (typeof standard === "string" && envoy === undefined) return ofClientCert(standard);
  if (typeof envoy === "string" && standard === undefined) return ofEnvoy(envoy);
  return undefined;
}

/** RFC 9440 section 2.2: one byte sequence, `:base64 of DER:`. */
function ofClientCert(header: string): string | undefined {
  const [, text] = /^\s*:([A-Za-z0-9+/]{100,16384}={0,2}):\s*$/.exec(header) ?? [];
  if (text === undefined) return undefined;
  const der = Buffer.from(text, "base64");
  return der.toString("base64").replaceAll("=", "") === text.replaceAll("=", "") ? thumbprintOf(der) : undefined;
}

/** `Hash=<hex>;Subject="...";URI=...`: the hash is the SHA-256 of the certificate's DER. */
function ofEnvoy(header: string): string | undefined {
  if (header.length > 16_384) return undefined;
  const unquoted = header.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  if (/[,"](?!")/.test(unquoted.replaceAll('""', ""))) return undefined;
  const hashes = unquoted.split(";").flatMap((part) => /^\s*hash=([0-9a-f]{64})\s*$/i.exec(part)?.[1] ?? []);
  const [only, ...others] = hashes;
  return only === undefined || others.length > 0 ? undefined : Buffer.from(only, "hex").toString("base64url");
}

const thumbprintOf = (der: Buffer): string => hash("sha256", der, "base64url");

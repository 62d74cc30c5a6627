import { readFile } from "node:fs/promises";
import type { TrustDocument } from "./document.ts";
import type { Trust } from "./policy.ts";
import type { Complaints } from "./problems.ts";
import { codeOf } from "./read.ts";
import { MAX_FILE_CHARACTERS } from "./yaml.ts";

/** Checks the files that a trust names: its key set must be one, of public keys only; its certificates must be there. */
export async function checkTrustFiles(document: TrustDocument, trust: Trust, complaints: Complaints): Promise<void> {
  if (trust.keys.from === "file") {
    const fault = await faultOfKeySet(trust.keys.path);
    if (fault !== undefined)
      complaints.add(["oidc", "jwks_file"], `${document.oidc.jwks_file ?? "the key set"} ${fault}`, {
        help: "paths are relative to the file that names them",
      });
  }
  if (trust.caFile === undefined) return;
  try {
    const text = await readFile(trust.caFile, "utf8");
    if (!text.includes("-----BEGIN CERTIFICATE-----"))
      complaints.add(["oidc", "ca_file"], `${document.oidc.ca_file ?? ""} holds no certificate (PEM)`);
  } catch (error) {
    complaints.add(["oidc", "ca_file"], `${document.oidc.ca_file ?? ""} cannot be read: ${codeOf(error)}`);
  }
}

async function faultOfKeySet(path: string): Promise<string | undefined> {
  let value: unknown;
  try {
    const text = await readFile(path, "utf8");
    if (text.length > MAX_FILE_CHARACTERS) return "is too large for a key set";
    value = JSON.parse(text);
  } catch (error) {
    return error instanceof SyntaxError ? "is not JSON" : `cannot be read: ${codeOf(error)}`;
  }
  const keys = typeof value === "object" && value !== null && "keys" in value ? value.keys : undefined;
  if (!Array.isArray(keys)) return 'is not a JWKS: expected { "keys": [...] }';
  if (keys.length === 0) return "holds no keys";
  for (const [index, key] of (keys as readonly unknown[]).entries()) {
    if (typeof key !== "object" || key === null || !("kty" in key) || typeof key.kty !== "string")
      return `holds something at keys[${index}] that is not a key`;
    if (key.kty === "oct") return `holds a symmetric key at keys[${index}]; only public keys belong there`;
    if ("d" in key)
      return `holds a PRIVATE key at keys[${index}]; keep only its public part there, and replace the key if the file was shared`;
  }
  return undefined;
}

import { readFile } from "node:fs/promises";
import { credentialSha256 } from "../broker-client.ts";
import { systemCode } from "../errors.ts";
import { UsageError } from "./exit-codes.ts";

/**
 * SHA-256 of a credential somebody holds: read from a file or standard input (`-`), or given as the hash itself. The credential
 * is never an argument, and never leaves this process.
 */
export async function credentialHash(file: string | undefined, sha256: string | undefined): Promise<string> {
  if (sha256 !== undefined) {
    const hex = sha256.replace(/^sha256:/, "").toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(hex))
      throw new UsageError("--credential-sha256 is not a SHA-256", 'Expected 64 hex digits: printf %s "$TOKEN" | sha256sum');
    return hex;
  }
  const path = file ?? "-";
  if (/^eyJ[\w-]+\.[\w-]+\./.test(path)) {
    throw new UsageError(
      "--credential takes the name of a file, not the credential",
      "What stands on a command line is seen by every process: write it to a file, or pipe it in with --credential -",
    );
  }
  const text = (
    path === "-"
      ? await standardInput()
      : await readFile(path, "utf8").catch((error: unknown) => {
          throw new UsageError(`${path} cannot be read (${systemCode(error) ?? "unreadable"})`);
        })
  )
    .trim()
    .replace(/^(?:authorization:\s*)?bearer\s+/i, "");
  if (text === "") throw new UsageError("there is no credential in it");
  if (/\s/.test(text)) throw new UsageError("expected one credential and nothing else");
  return credentialSha256(text);
}

async function standardInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > 65_536) throw new UsageError("the input is larger than a credential can be");
  }
  return text;
}

import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { addOperator, hashOf, newKey } from "../operator-add.ts";
import { writePrivateFile } from "../../deliver/private-file.ts";
import { verifierDocument } from "../verifier-add.ts";
import { DEV_ISSUER, type DevIdentity } from "./identity.ts";

/** Where everything of a broker to play with lies. Paths are absolute. */
export interface DevFiles {
  readonly folder: string;
  readonly config: string;
  readonly operators: string;
  readonly operatorToken: string;
  readonly verifierKey: string;
  readonly idToken: string;
  readonly data: string;
}

export const DEV_GRANT = "deploy-dev";
const AUDIENCE = "https://deploy.dev.invalid";

/** Writes a configuration and keys for one start; what an earlier start wrote is replaced, the data stay. */
export async function writeDevFiles(folder: string, identity: DevIdentity): Promise<DevFiles> {
  const at = (name: string): string => join(resolve(folder), name);
  const files: DevFiles = {
    folder: resolve(folder),
    config: at("config"),
    operators: at("operators"),
    operatorToken: at("operator-token"),
    verifierKey: at("verifier-key"),
    idToken: at("id-token"),
    data: at("data"),
  };
  await mkdir(files.config, { recursive: true, mode: 0o700 });
  await chmod(files.folder, 0o700);
  await rm(files.operators, { force: true });
  await writePrivateFile(files.operatorToken, await addOperator(files.operators, "dev", "admin"));
  const key = newKey("stint_vk_");
  await writePrivateFile(files.verifierKey, key);
  await writeFile(join(files.config, "dev.jwks.json"), JSON.stringify(identity.jwks));
  await writeFile(
    join(files.config, "dev.yaml"),
    `${DOCUMENTS}---\n${verifierDocument("deploy-api", AUDIENCE, hashOf(key), "introspection")}`,
  );
  return files;
}

const DOCUMENTS = `# Written by stint dev at every start. For a configuration of your own: stint init
kind: Trust
name: dev
owner: you
oidc: { issuer: "${DEV_ISSUER}", preset: generic, jwks_file: dev.jwks.json, single_use: false }
workload: "dev/\${sub}"
---
kind: Grant
name: ${DEV_GRANT}
owner: you
sensitivity: low
allow:
  - { trust: dev, claims: { sub: toy-job, branch: main } }
issue: { issuer: jwt, audience: "${AUDIENCE}", scope: [deploy:write], ttl: 10m }
tests:
  - { name: main deploys, given: { trust: dev, claims: { sub: toy-job, branch: main } }, expect: allow }
  - { name: another branch does not, given: { trust: dev, claims: { sub: toy-job, branch: mine } }, expect: deny }
`;

/**
 * npm run generate: writes every file that is made from code. With `--check` it writes nothing, names those that are out of step
 * and ends with 1. Adding one is a line in GENERATED.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { renderEnvExample, renderReference } from "../broker/config/reference.ts";
import { renderLintReference } from "../broker/policy/lint-reference.ts";
import { issuerKinds } from "../issuers/catalog.ts";
import { policySchemaFile } from "../broker/policy/schema.ts";
import { makerOpenapiFile } from "./generate-maker-openapi.ts";
import { openapiFile } from "./generate-openapi.ts";

const root = join(import.meta.dirname, "../..");

/** Path from the project's root, and what belongs there. */
export const GENERATED: readonly { readonly path: string; readonly render: () => string | Promise<string> }[] = [
  { path: ".env.example", render: renderEnvExample },
  { path: "docs/configuration.md", render: renderReference },
  { path: "schema/openapi.json", render: () => openapiFile(pathToFileURL(`${root}/`)) },
  { path: "schema/stint.v1.json", render: () => policySchemaFile(issuerKinds) },
  { path: "docs/issuers/http-maker.openapi.json", render: makerOpenapiFile },
  { path: "docs/policy-lint.md", render: renderLintReference },
];

/** Paths whose file is not what the code would make now. */
export async function outOfStep(): Promise<readonly string[]> {
  const stale: string[] = [];
  for (const { path, render } of GENERATED) {
    const file = join(root, path);
    const found = existsSync(file) ? readFileSync(file, "utf8") : undefined;
    if (found !== (await render())) stale.push(path);
  }
  return stale;
}

async function main(): Promise<void> {
  const stale = await outOfStep();
  if (process.argv.includes("--check")) {
    for (const path of stale) console.error(`${path} is out of step with the code: npm run generate`);
    process.exitCode = stale.length === 0 ? 0 : 1;
    return;
  }
  for (const { path, render } of GENERATED) {
    if (!stale.includes(path)) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), await render());
    console.log(`wrote ${path}`);
  }
}

if (process.argv[1] === import.meta.filename) await main();

// Cuts the operations that the github-app issuer uses out of GitHub's OpenAPI description, for the tests.
//
//   npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
//   node scripts/trim-github-openapi.mjs package
//
// The whole description weighs 13 MB; what is cut out keeps every schema as it stands, references resolved, words left out.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OPERATIONS = [
  ["/app", "get"],
  ["/app/installations/{installation_id}", "get"],
  ["/app/installations/{installation_id}/access_tokens", "post"],
  ["/installation/token", "delete"],
  ["/installation/repositories", "get"],
  ["/orgs/{org}/installation", "get"],
  ["/users/{username}/installation", "get"],
  ["/repos/{owner}/{repo}/installation", "get"],
];
/** They say what things mean, not what they are. */
const WORDS = new Set([
  "description",
  "summary",
  "title",
  "example",
  "examples",
  "externalDocs",
  "tags",
  "operationId",
  "x-github",
  "x-octokit",
  "deprecated",
  "readOnly",
  "headers",
  "links",
]);

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: node scripts/trim-github-openapi.mjs FOLDER-OF-@octokit/openapi");
const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
const whole = JSON.parse(readFileSync(join(folder, "generated/api.github.com.json"), "utf8"));

/** `isNames`: the members are names that somebody gave (properties, status codes), not words of the description. */
function cut(node, isNames = false) {
  if (Array.isArray(node)) return node.map((item) => cut(item));
  if (node === null || typeof node !== "object") return node;
  if (typeof node.$ref === "string") return cut(follow(node.$ref));
  const kept = Object.entries(node).filter(([name]) => isNames || !WORDS.has(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, cut(value, !isNames && (name === "properties" || name === "responses"))]));
}

const follow = (reference) =>
  reference
    .slice("#/".length)
    .split("/")
    .reduce((node, name) => node[name], whole);

const paths = {};
for (const [path, method] of OPERATIONS) (paths[path] ??= {})[method] = cut(whole.paths[path][method]);
const trimmed = {
  origin: `${manifest.name} ${manifest.version}, generated/api.github.com.json, from https://github.com/github/rest-api-description`,
  licence: readFileSync(join(folder, "LICENSE"), "utf8").replaceAll(/\s+/g, " ").trim(),
  openapi: whole.openapi,
  paths,
};
const target = join(import.meta.dirname, "../test/fixtures/github-openapi.json");
writeFileSync(target, `${JSON.stringify(trimmed)}\n`);
console.log(`wrote ${target}: ${OPERATIONS.length} operations of ${manifest.name} ${manifest.version}`);

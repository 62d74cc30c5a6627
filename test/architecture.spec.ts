import { describe, expect, it } from "@jest/globals";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, normalize } from "node:path";

/**
 * Who may import whom. A folder may always import itself; the longest prefix counts. `libraries`: nothing else from outside,
 * where it is given.
 */
const LAYERS: Readonly<Record<string, { readonly may: readonly string[]; readonly libraries?: readonly string[] }>> = {
  domain: { may: [], libraries: ["zod"] },
  actions: { may: ["domain"], libraries: ["@marcbachmann/cel-js", "re2js"] },
  outside: { may: [], libraries: [] },
  issuers: { may: ["domain", "outside"] },
  store: { may: ["domain"] },
  broker: { may: ["domain", "actions", "outside", "issuers", "store"] },
  client: { may: ["domain", "actions"] },
  "client/verify": { may: [], libraries: ["jose"] },
  scripts: { may: ["domain", "actions", "outside", "issuers", "store", "broker", "client", "test/support"] },
  test: { may: ["domain", "actions", "outside", "issuers", "store", "broker", "client", "scripts"] },
};

/** The only places in the product that may import a library. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  "@clack/prompts": ["client/cli"],
  "@marcbachmann/cel-js": ["actions/cel.ts"],
  // types everywhere in the folder; loaded by library.ts alone
  "@peculiar/asn1-csr": ["issuers/x509"],
  "@peculiar/asn1-schema": ["issuers/x509/library.ts"],
  "@peculiar/asn1-x509": ["issuers/x509"],
  "@peculiar/x509": ["issuers/x509"],
  asn1js: ["issuers/x509"],
  "cli-table3": ["client/cli/table.ts"],
  commander: ["client/cli"],
  express: ["broker/app.ts", "broker/http", "client/verify/express"],
  ioredis: ["store"],
  jose: [
    "broker/attestation",
    "broker/dpop",
    "broker/tasks",
    "issuers/jwt",
    "issuers/github-app/app-jwt.ts",
    "store/key-material.ts",
    "client/proof.ts",
    "client/verify",
    "client/cli/dev",
  ],
  "json-canonicalize": ["broker/audit", "broker/policy/compile.ts", "store"],
  "node-cron": ["broker/sweeper/schedule.ts"],
  pg: ["issuers/postgres"],
  picocolors: ["client/cli/screen.ts"],
  pino: ["broker/telemetry/logger.ts"],
  "prom-client": ["broker/telemetry"],
  re2js: ["actions/regex.ts"],
  "reflect-metadata": ["issuers/x509/library.ts"],
  yaml: ["broker/policy/yaml.ts", "client/cli"],
  zod: ["domain", "broker", "issuers", "store"],
  "zod-openapi": ["broker/http/openapi.ts"],
};

/** The only places in the product that may say these words: everywhere else they arrive as arguments. */
const WORDS: readonly { readonly word: RegExp; readonly doors: readonly string[] }[] = [
  { word: /\bprocess\.env\b/, doors: ["broker/commands", "broker/config.ts", "broker/main.ts", "client/cli/environment.ts"] },
  { word: /\bDate\.now\b/, doors: ["domain/time.ts", "client/verify/clock.ts"] },
  { word: /\bnew Date\(\)/, doors: [] },
  { word: /\bMath\.random\b/, doors: ["broker/compose.ts", "broker/main.ts", "client/call.ts"] },
];

/** Lines a source file may have. A file above it is listed with a ceiling of its own, which may only go down. */
const CEILING = 220;
const CEILINGS: Readonly<Record<string, number>> = {
  "broker/http/error-answers.ts": 320, // a table: one entry per error code
};

const root = join(import.meta.dirname, "../..");
const PRODUCT = ["domain", "actions", "outside", "issuers", "store", "broker", "client"];
const SKIPPED = new Set([".git", "node_modules", "dist", "coverage"]);

/** Files of the checkout, as paths from its root; hidden folders but `.ci` and `.github` are nobody's. */
function filesBelow(folder: string): readonly string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (SKIPPED.has(entry.name) || (entry.isDirectory() && entry.name.startsWith(".") && ![".ci", ".github"].includes(entry.name)))
      continue;
    if (entry.isDirectory()) found.push(...filesBelow(path));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const existing = PRODUCT.filter((folder) => statSync(join(root, folder), { throwIfNoEntry: false }) !== undefined);
const product = existing.flatMap((folder) => filesBelow(folder)).filter((path) => path.endsWith(".ts"));
const others = ["scripts", "test"].flatMap((folder) => filesBelow(folder)).filter((path) => path.endsWith(".ts"));

const isWithin = (path: string, place: string): boolean => path === place || path.startsWith(`${place}/`) || path.startsWith(`${place}.`);
/** Code without its comments: a comment may speak of what the code may not do. */
const codeOf = (path: string): string => read(path).replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, "");

function importsOf(path: string): readonly string[] {
  const found = codeOf(path).matchAll(/(?:^|[\s;}])(?:import|from|require)\s*\(?\s*"([^"]+)"/g);
  return [...found].map(([, specifier]) => specifier ?? "");
}

const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
const layerOf = (path: string): string =>
  Object.keys(LAYERS)
    .filter((layer) => isWithin(path, layer))
    .toSorted((a, b) => b.length - a.length)[0] ?? "";

describe("the layers", () => {
  it("import only what the table allows", () => {
    const wrong: string[] = [];
    for (const path of [...product, ...others]) {
      const layer = layerOf(path);
      for (const specifier of importsOf(path).filter((text) => text.startsWith("."))) {
        const target = normalize(join(dirname(path), specifier));
        const allowed = isWithin(target, layer) || (LAYERS[layer]?.may ?? []).some((place) => isWithin(target, place));
        if (!allowed) wrong.push(`${path} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("import only the libraries they may", () => {
    const wrong: string[] = [];
    for (const path of product) {
      const libraries = LAYERS[layerOf(path)]?.libraries;
      for (const name of importsOf(path).filter(isLibrary).map(packageOf)) {
        if (libraries !== undefined && !libraries.includes(name)) wrong.push(`${path} imports ${name}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("reach each library through its one door", () => {
    const wrong: string[] = [];
    for (const path of product) {
      for (const name of importsOf(path).filter(isLibrary).map(packageOf)) {
        if (!(DOORS[name] ?? []).some((door) => isWithin(path, door))) wrong.push(`${path} imports ${name}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("take the environment, the time and chance as arguments", () => {
    const wrong = product.flatMap((path) =>
      WORDS.filter(({ word, doors }) => !doors.some((door) => isWithin(path, door)) && word.test(codeOf(path))).map(
        ({ word }) => `${path} says ${word.source}`,
      ),
    );
    expect(wrong).toEqual([]);
  });

  it("are checked on real imports: the reader of this spec sees them all", () => {
    expect(importsOf("broker/telemetry/logger.ts")).toEqual(["pino", "../../domain/time.ts", "./redact.ts"]);
    expect(product.length).toBeGreaterThan(50);
  });
});

describe("the dependencies", () => {
  it("of the product have a door each, and are no development tools", () => {
    const { dependencies } = JSON.parse(read("package.json")) as { readonly dependencies: Readonly<Record<string, string>> };
    expect(Object.keys(DOORS).filter((name) => !(name in dependencies))).toEqual([]);
    expect(Object.keys(dependencies).filter((name) => !(name in DOORS))).toEqual([]);
  });

  it("are pinned to one version each", () => {
    const manifest = JSON.parse(read("package.json")) as Readonly<
      Record<"dependencies" | "devDependencies", Readonly<Record<string, string>>>
    >;
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    expect(loose).toEqual([]);
  });
});

describe("the files", () => {
  it("are about one thought each: none is longer than its ceiling", () => {
    const long = product
      .map((path) => ({ path, lines: read(path).split("\n").length - 1 }))
      .filter(({ path, lines }) => lines > (CEILINGS[path] ?? CEILING))
      .map(({ path, lines }) => `${path}: ${lines}`);
    expect(long).toEqual([]);
  });

  it("have no ceiling of their own once they are gone", () => {
    expect(Object.keys(CEILINGS).filter((path) => !product.includes(path))).toEqual([]);
  });

  it("name no machine they were written on and no registry they were installed from", () => {
    // The folder this checkout stands in, whatever it is called here.
    const home = `${normalize(root)}/`;
    const lockedAddress = /"resolved": +"http/;
    const registry = /https?:\/\/[^\s"'`)]*(?:artifactory|verdaccio|nexus|codeartifact|npm\.pkg|pkg\.dev)/i;
    const telling = filesBelow(".").filter((path) => /\.(?:ts|mjs|js|json|md|yaml|yml|lua|sh|html)$|^\.[a-z]+|run$/.test(path));
    const wrong = telling.filter((path) => read(path).includes(home) || lockedAddress.test(read(path)) || registry.test(read(path)));
    expect(wrong).toEqual([]);
  });
});

function isLibrary(specifier: string): boolean {
  return !specifier.startsWith(".") && !isBuiltin(specifier);
}

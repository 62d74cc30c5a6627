// What every npm script needs first, written for a machine that has Node and npm and nothing else: no dependency is imported here.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";

/** The project's root. */
export const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const stamp = join(dist, ".built");
const SOURCES = ["domain", "actions", "outside", "issuers", "store", "broker", "client", "scripts", "test"];
/** Files beside the sources that the built program reads. */
const ASSETS = [".lua"];

/** One line of progress on stderr, so that a script's own output stays clean. */
export const say = (text) => process.stderr.write(`stint: ${text}\n`);

/** Runs a step, showing what it is and how long it took. */
export async function step(text, work) {
  const start = performance.now();
  say(`${text} ...`);
  const result = await work();
  say(`${text}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Runs a program; resolves with its exit code and, when `quiet`, what it printed. */
export function run(program, args, { quiet = false, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env, stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit" });
    let output = "";
    child.stdout?.on("data", (chunk) => (output += chunk));
    child.stderr?.on("data", (chunk) => (output += chunk));
    // The terminal sends Ctrl-C to the child as well; we wait for its end and pass its answer on.
    const ignore = () => undefined;
    const forward = () => child.kill("SIGTERM");
    process.on("SIGINT", ignore);
    process.on("SIGTERM", forward);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", forward);
      resolve({ code: code ?? (signal === null ? 1 : 128), output });
    });
  });
}

/** Installs exactly the lockfile's packages when they are missing or older than it. */
export async function ensurePackages() {
  const wanted = statSync(join(root, "package-lock.json")).mtimeMs;
  const modules = join(root, "node_modules");
  const installed = statSync(join(modules, ".package-lock.json"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  // A linked folder belongs to another checkout, which looks after it.
  if (installed >= wanted || lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  const npm = process.env["npm_execpath"];
  const [program, first] = npm === undefined ? ["npm", []] : [process.execPath, [npm]];
  const flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  const { code, output } = await step("installing packages (npm ci)", () => run(program, [...first, ...flags], { quiet: true }));
  if (code !== 0) fail(`npm ci failed:\n${output}`);
}

/** Compiles into dist, copies what is not TypeScript, and removes what no source makes any more. */
export async function build() {
  await ensurePackages();
  const { code, output } = await step("compiling", () =>
    run(process.execPath, [join(root, "node_modules/typescript/bin/tsc")], { quiet: true }),
  );
  if (code !== 0) {
    rmSync(stamp, { force: true });
    fail(`the sources do not compile:\n${output}`);
  }
  const sources = SOURCES.flatMap((folder) => filesBelow(join(root, folder)));
  copyAssets(sources);
  removeStale(sources);
  const command = join(dist, "client/cli/main.js");
  if (existsSync(command)) chmodSync(command, 0o755);
  writeFileSync(stamp, fingerprint());
}

/** Builds when a source has changed since the last build, or never was built. */
export async function ensureBuilt() {
  const built = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
  if (built !== fingerprint()) await build();
  else await ensurePackages();
}

/** A real Redis for whoever needs one: found, or fetched from the system's packages without root. */
export async function ensureRedis() {
  const { ensureRedisServer } = await import(join(dist, "store/embedded/launch.js"));
  const log = { info: (_, message) => say(message), warn: (_, message) => say(message), error: (_, message) => say(message) };
  const cache = process.env["XDG_CACHE_HOME"];
  try {
    await ensureRedisServer({ searchPath: process.env["PATH"], cacheDir: cache ? join(cache, "stint") : undefined }, log);
  } catch (error) {
    fail(error.message, error.exitCode);
  }
}

/** A real nginx for the specs of proxies, likewise. Without one they fail, and say why; with STINT_TEST_OFFLINE they are skipped. */
export async function ensureNginx() {
  const { ensureNginx: ensure } = await import(join(dist, "test/support/nginx.js"));
  await ensure(say).catch((error) => say(`no nginx: ${error.message}`));
}

/** A real Valkey for the specs of the store on it. Not every system's packages have one: without it they are skipped, and say so. */
export async function ensureValkey() {
  const { ensureValkey: ensure } = await import(join(dist, "test/support/valkey.js"));
  await ensure(say).catch((error) => say(`no valkey: ${error.message}`));
}

/** A real sshd and its clients for the specs of certificates, the same way. */
export async function ensureSsh() {
  const { ensureSsh: ensure } = await import(join(dist, "test/support/ssh-programs.js"));
  await ensure(say).catch((error) => say(`no sshd: ${error.message}`));
}

/** A real Postgres for the specs of its issuer, likewise. Without one they fail, and say why. */
export async function ensurePostgres() {
  const { ensurePostgres: ensure } = await import(join(dist, "test/support/postgres-programs.js"));
  await ensure(say).catch((error) => say(`no postgres: ${error.message}`));
}

/** Says why, and ends. */
export function fail(text, code = 1) {
  say(text);
  process.exit(code);
}

function copyAssets(sources) {
  for (const source of sources.filter(isAsset)) {
    const target = join(dist, relative(root, source));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(source, target);
  }
}

/** A deleted spec must not run for ever, nor a deleted module be imported. */
function removeStale(sources) {
  const expected = new Set();
  for (const source of sources) {
    const target = join(dist, relative(root, source));
    if (isAsset(source)) expected.add(target);
    if (source.endsWith(".ts")) for (const ending of [".js", ".js.map", ".d.ts"]) expected.add(target.replace(/\.ts$/, ending));
  }
  for (const folder of SOURCES) {
    for (const file of filesBelow(join(dist, folder))) if (!expected.has(file)) rmSync(file);
  }
}

function fingerprint() {
  const hash = createHash("sha256");
  const files = [
    ...SOURCES.flatMap((folder) => filesBelow(join(root, folder))),
    join(root, "tsconfig.json"),
    join(root, "package-lock.json"),
  ];
  for (const file of files) {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${relative(root, file)} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

const isAsset = (file) => ASSETS.some((ending) => file.endsWith(ending));

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old: 20.19 or later is needed`);
}
checkNode();

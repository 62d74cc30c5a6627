// npm run check: everything about the code that needs no running system. Every failure is shown, not only the first.
import { join } from "node:path";
import { build, root, run, say } from "./prepare.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const node = (...args) => [process.execPath, args];
const jest = join(root, "node_modules/jest/bin/jest.js");
const CHECKS = [
  ["format", [bin("oxfmt"), ["--check"]]],
  ["lint", [bin("oxlint"), ["--type-aware", "--quiet"]]],
  ["unused code", [bin("knip"), ["--no-progress"]]],
  ["docs and schemas in step", node(join(root, "dist/scripts/generate-docs.js"), "--check")],
  ["layering", node("--experimental-vm-modules", "--no-warnings", jest, "--silent", "test/architecture")],
];

await build(); // types
let failed = 0;
for (const [name, [program, args]] of CHECKS) {
  const start = performance.now();
  const { code, output } = await run(program, args, { quiet: true });
  say(`${name}: ${code === 0 ? "ok" : "FAILED"}, ${((performance.now() - start) / 1000).toFixed(1)} s`);
  if (code !== 0) {
    failed += 1;
    process.stderr.write(`${output}\n`);
  }
}
if (failed > 0) say(`${failed} of ${CHECKS.length} checks failed`);
process.exitCode = failed === 0 ? 0 : 1;

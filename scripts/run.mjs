// npm start, npm run demo, npm run bench: makes ready what is missing, then becomes the built program named first.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt, fail, root } from "./prepare.mjs";

const [name = "", ...args] = process.argv.slice(2);
const program = join(root, "dist", `${name}.js`);
await ensureBuilt();
if (!existsSync(program)) fail(`there is no ${name}.ts`);
process.argv = [process.argv[0], program, ...args];
await import(program);

#!/usr/bin/env node
import { run } from "./program.ts";

const argv = process.argv.slice(2);

// A reader that went away (`stint audit query | head`) is no failure of ours. `exec` still has a task to end.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (argv[0] !== "exec") process.exit(error.code === "EPIPE" ? 0 : 1);
});

const code = await run(argv);
process.stdout.write("", () => process.exit(code));

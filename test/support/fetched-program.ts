import { chmod, writeFile } from "node:fs/promises";

/** For a shell: the libraries of the packages beside it, behind the system's own. A C library of another release beside its loader would not start. */
export const ENVIRONMENT = `here=$(dirname "$(readlink -f "$0")")/files
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$(printf '%s:' "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*)
export LD_LIBRARY_PATH
`;

/** Makes `path` start the `program` of the packages that were unpacked into `files` beside it: the folder may be renamed, and nobody else needs to know. */
export async function writeStarter(path: string, program: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${ENVIRONMENT}exec "$here/${program}" "$@"\n`);
  await chmod(path, 0o755);
}

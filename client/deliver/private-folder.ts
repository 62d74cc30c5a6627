import { mkdtempSync, rmSync, statSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createPrivateFile } from "./private-file.ts";

/**
 * A folder that only its owner can enter, made when its path is first asked for; with all that is in it gone when it is disposed of,
 * or when this process exits.
 */
export class PrivateFolder implements AsyncDisposable {
  readonly #above: string;
  #path: string | undefined;
  readonly #atExit = (): void => {
    if (this.#path !== undefined) rmSync(this.#path, { recursive: true, force: true });
  };

  /** In memory where the platform offers a place there (`XDG_RUNTIME_DIR`), else among the temporary files. */
  constructor(env: Readonly<Record<string, string | undefined>>) {
    const offered = [env["XDG_RUNTIME_DIR"], env["RUNNER_TEMP"], env["TMPDIR"]];
    this.#above = offered.find((path) => path !== undefined && isFolder(path)) ?? tmpdir();
  }

  get path(): string {
    if (this.#path === undefined) {
      // mode 0700, under a name that nobody could foresee
      this.#path = mkdtempSync(join(this.#above, "stint-"));
      process.once("exit", this.#atExit);
    }
    return this.#path;
  }

  /** Writes a new file, mode 0600. Answers its path. */
  async write(name: string, text: string): Promise<string> {
    const path = join(this.path, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await createPrivateFile(path, text);
    return path;
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.path, name), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#atExit);
    if (this.#path !== undefined) await rm(this.#path, { recursive: true, force: true });
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

import { execFile } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "./failure.ts";

/** Options that make apt work in a folder of ours, without root; it verifies the packages' signatures as it always does. */
export async function privateApt(work: string): Promise<readonly string[]> {
  for (const folder of ["state/lists/partial", "cache/archives/partial"]) await mkdir(join(work, folder), { recursive: true });
  const options = {
    "Dir::State": join(work, "state"),
    "Dir::State::status": "/var/lib/dpkg/status",
    "Dir::Cache": join(work, "cache"),
    "APT::Sandbox::User": "root",
    "APT::Update::Post-Invoke": "",
    "APT::Update::Post-Invoke-Success": "",
    "Debug::NoLocking": "1",
    "Acquire::Languages": "none",
    "Acquire::Retries": "1",
    "Acquire::http::Timeout": "15",
    "Acquire::https::Timeout": "15",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
  };
  return Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

/** Unpacks every package of a folder into `files/files`. */
export async function unpack(debs: string, files: string): Promise<void> {
  for (const deb of await readdir(debs)) {
    if (deb.endsWith(".deb")) await run("dpkg-deb", ["-x", join(debs, deb), join(files, "files")], files);
  }
}

/** Runs a program to its end; answers what it printed, throws what it complained of last. */
export function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, timeout: 120_000, maxBuffer: 16 * 2 ** 20 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const said = stderr.trim().split("\n").at(-1);
      return reject(
        new Error(
          codeOf(error) === "ENOENT"
            ? `${program} is not there`
            : `${program}: ${said === undefined || said === "" ? error.message : said}`,
        ),
      );
    });
  });
}

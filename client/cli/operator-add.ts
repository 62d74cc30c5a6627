import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemCode } from "../errors.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { writePrivateFile } from "../deliver/private-file.ts";
import type { Role } from "./roles.ts";
import { clean, note } from "./screen.ts";

interface Options {
  readonly role: Role;
  readonly file?: string;
  readonly out?: string;
}

/** `stint operator add NAME --role R` */
export async function run(context: Context, options: Options, name: string): Promise<number> {
  const file = options.file ?? context.env["STINT_OPERATOR_TOKENS_FILE"] ?? join(context.env["STINT_CONFIG"] ?? "stint", "operators");
  const token = await addOperator(file, name, options.role);
  await hand(context, token, options.out);
  note(
    context.screen,
    `${context.screen.errColor.green("✓")} ${name} is ${options.role === "admin" ? "an" : "a"} ${options.role} once the broker has read ${file}: it does on SIGHUP (STINT_OPERATOR_TOKENS_FILE=${file})`,
  );
  return 0;
}

/** Adds a line `name role sha256:<hex>` and answers the token, 256 random bits. The file is made with mode 0600. */
export async function addOperator(file: string, name: string, role: Role): Promise<string> {
  if (!/^[a-z0-9][a-z0-9._@-]{0,62}$/.test(name))
    throw new UsageError(`"${clean(name)}" is not a name`, "Names of operators have lower-case letters, digits and . _ @ -");
  const before = await readFile(file, "utf8").catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return "";
    throw new UsageError(`${file} cannot be read (${systemCode(error) ?? "unreadable"})`);
  });
  const known = before
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .find(([one]) => one === name);
  if (known !== undefined)
    throw new UsageError(
      `${name} is already in ${file}, as ${known[1] ?? "?"}`,
      "Remove that line to replace the token, or choose another name.",
    );
  const token = newKey("stint_op_");
  const apart = before === "" || before.endsWith("\n") ? before : `${before}\n`;
  await mkdir(dirname(file), { recursive: true });
  await writePrivateFile(file, `${apart}${name} ${role} ${hashOf(token)}\n`);
  return token;
}

/** A new key: 256 random bits behind a prefix that scanners find. */
export const newKey = (prefix: string): string => `${prefix}${randomBytes(32).toString("base64url")}`;
/** As files store a key: its SHA-256, from which it cannot be had back. */
export const hashOf = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

/** Hands out a new key once: to a file, or to standard output. This is its only copy. */
export async function hand({ screen }: Context, key: string, out: string | undefined): Promise<void> {
  if (out === undefined) screen.out.write(`${key}\n`);
  else await writePrivateFile(out, key);
  note(screen, out === undefined ? "  This is shown once: keep it where secrets are kept." : `  written to ${out}`);
}

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../errors.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { hand, hashOf, newKey } from "./operator-add.ts";
import { clean, note } from "./screen.ts";
import { quoted } from "./templates/yaml.ts";

interface Options {
  readonly audience: string;
  readonly checks: string;
  readonly config?: string;
  readonly out?: string;
}

/** `stint verifier add NAME --audience A` */
export async function run(context: Context, options: Options, name: string): Promise<number> {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
    throw new UsageError(`"${clean(name)}" is not a name`, "Names have lower-case letters, digits and dashes.");
  if (/\s/.test(options.audience) || options.audience === "") throw new UsageError("--audience: expected a URI or a name without spaces");
  const folder = options.config ?? context.env["STINT_CONFIG"] ?? "stint";
  const key = newKey("stint_vk_");
  const file = join(folder, `verifier-${name}.yaml`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, verifierDocument(name, options.audience, hashOf(key), options.checks), { flag: "wx" }).catch((error: unknown) => {
    if (systemCode(error) === "EEXIST")
      throw new UsageError(`${file} exists already`, "Remove it to make a new key, or choose another name.");
    throw error;
  });
  await hand(context, key, options.out);
  note(
    context.screen,
    `${context.screen.errColor.green("✓")} ${file}: ${name} may ask about tokens for ${options.audience}, with this key as its Bearer token`,
  );
  return 0;
}

/** A `kind: Verifier` document. */
export const verifierDocument = (name: string, audience: string, key: string, checks: string): string => `kind: Verifier
name: ${name}
audience: ${quoted(audience)}
key: ${key}
checks: ${checks}  # what it does before it believes a token
`;

import { PLACED, SHAPE_NAMES, type Shape } from "../../deliver/delivery.ts";
import { CREDENTIAL_FORMATS, type CredentialFormat } from "../../deliver/formats.ts";
import { defaultVariable } from "../../deliver/variables.ts";
import { grantName } from "../asked.ts";
import { UsageError } from "../exit-codes.ts";
import { clean } from "../screen.ts";

/** How the command gets a credential. */
export type Way =
  | { readonly as: "usual" }
  | { readonly as: "variable"; readonly name: string }
  | { readonly as: "shape"; readonly shape: Shape; readonly host?: string }
  | { readonly as: "file"; readonly name: string; readonly format?: CredentialFormat };

/** One credential, and the ways in which the command gets it. */
export interface Wish {
  readonly grant: string;
  readonly ways: readonly Way[];
}

/**
 * `--for GRANT`, `--for GRANT=VARIABLE`, `--for GRANT=shape`, `--for GRANT=shape:host` and `--file VARIABLE=GRANT[:format]`. One
 * credential for each grant, however many ways it is wanted in; each variable once.
 */
export function parseWishes(wanted: readonly string[], files: readonly string[] = []): readonly Wish[] {
  const ways = new Map<string, Way[]>();
  const add = (grant: string, way: Way): void => void ways.set(grant, [...(ways.get(grant) ?? []), way]);
  for (const text of wanted) {
    const [grant, word] = parted(text);
    add(grantName(grant, "--for: "), word === undefined ? { as: "usual" } : wayOf(word));
  }
  for (const text of files) {
    const [name, word = ""] = parted(text);
    const [grant, format] = parted(word, ":");
    add(grantName(grant, "--file: "), {
      as: "file",
      name: variableName(name, "--file"),
      ...(format === undefined ? {} : { format: formatName(format) }),
    });
  }
  const variables = [...ways].flatMap(([grant, all]) => all.map((way) => variableOf(grant, way)).filter((name) => name !== undefined));
  const twice = variables.find((name, index) => variables.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError(`--for: two credentials for one variable, ${twice}`);
  return [...ways].map(([grant, all]) => ({ grant, ways: all }));
}

function wayOf(word: string): Way {
  const [name, host] = parted(word, ":");
  const shape = SHAPE_NAMES.find((one) => one === name);
  if (shape === undefined) return { as: "variable", name: variableName(word, "--for") };
  if (host !== undefined && !PLACED.has(shape)) throw new UsageError(`--for: the shape ${shape} takes no host`);
  return { as: "shape", shape, ...(host === undefined ? {} : { host }) };
}

function variableName(text: string, where: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return text;
  throw new UsageError(`${where}: "${clean(text)}" is not the name of a variable`, `The shapes are: ${SHAPE_NAMES.join(", ")}.`);
}

function formatName(text: string): CredentialFormat {
  const format = CREDENTIAL_FORMATS.find((one) => one === text);
  if (format !== undefined) return format;
  throw new UsageError(`--file: "${clean(text)}" is no format`, `The formats are: ${CREDENTIAL_FORMATS.join(", ")}.`);
}

function variableOf(grant: string, way: Way): string | undefined {
  if (way.as === "usual") return defaultVariable(grant);
  return way.as === "shape" ? undefined : way.name;
}

function parted(text: string, at = "="): readonly [string, string | undefined] {
  const cut = text.indexOf(at);
  return cut === -1 ? [text, undefined] : [text.slice(0, cut), text.slice(cut + 1)];
}

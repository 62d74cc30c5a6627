import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { addOperator, hashOf, newKey } from "./operator-add.ts";
import { clean, note } from "./screen.ts";
import { grantDocument, trustDocument } from "./templates/documents.ts";
import type { CiName } from "./templates/names.ts";
import type { Answers, Platform } from "./templates/platform.ts";
import { PLATFORMS } from "./templates/platforms.ts";
import { verifierDocument } from "./verifier-add.ts";

export interface Options extends Partial<Answers> {
  readonly ci?: CiName;
  readonly folder?: string;
}

const YEAR_MS = 365 * 86_400_000;
const OPERATOR = "first-admin";

/** `stint init`: a configuration that loads, passes its lint and its tests, and refuses everybody but one. */
export async function run(context: Context, options: Options): Promise<number> {
  const { ci, answers } = context.screen.interactive
    ? await (await import("./init-questions.ts")).ask(options, context.url)
    : plainAnswers(options, context.url);
  check(answers);
  const platform = PLATFORMS[ci].make(answers);
  const folder = options.folder ?? context.env["STINT_CONFIG"] ?? "stint";
  const key = newKey("stint_vk_");
  const verifier = `${answers.grant}-api`.slice(0, 63);
  const reviewBy = new Date(context.clock() + YEAR_MS).toISOString().slice(0, 10);
  const files = new Map([
    [join(folder, `trust-${ci}.yaml`), trustDocument(ci, platform, answers)],
    [join(folder, `grant-${answers.grant}.yaml`), grantDocument(ci, platform, answers, reviewBy)],
    [join(folder, `verifier-${verifier}.yaml`), verifierDocument(verifier, answers.audience, hashOf(key), "introspection")],
  ]);
  const operators = join(folder, "operators");
  await requireAbsent([...files.keys(), operators]);
  await mkdir(folder, { recursive: true });
  for (const [file, text] of files) await writeFile(file, text, { flag: "wx" });
  const token = await addOperator(operators, OPERATOR, "admin");
  say(context, { folder, operators, files: [...files.keys(), operators], platform, verifier, key, token, grant: answers.grant });
  return 0;
}

/** What the options say; the broker's own defaults for the rest. Throws for what the platform needs and nobody said. */
export function plainAnswers(options: Options, url: string): { readonly ci: CiName; readonly answers: Answers } {
  if (options.ci === undefined) throw new UsageError("for which platform?", `Give --ci: ${Object.keys(PLATFORMS).join(", ")}.`);
  const missing = PLATFORMS[options.ci].needs.filter((name) => !options[name]);
  if (missing.length > 0)
    throw new UsageError(`${options.ci} needs ${missing.map(flagOf).join(" and ")}`, "stint init --help says where each is found.");
  return { ci: options.ci, answers: complete(options, options.ci, url) };
}

export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Fills what was not said. */
export function complete(options: Options, ci: CiName, url: string): Answers {
  const {
    grant = "deploy-prod",
    audience = "https://deploy.example.com",
    scope = "deploy:write",
    environment = "production",
    owner = "team-platform",
  } = options;
  const {
    repositoryId = "",
    projectId = "",
    organization = "",
    pipeline = "",
    namespace = "",
    serviceAccount = "",
    subject = "",
  } = options;
  return {
    grant,
    audience,
    scope,
    environment,
    owner,
    url,
    repositoryId,
    projectId,
    organization,
    pipeline,
    namespace,
    serviceAccount,
    subject,
    issuer: options.issuer ?? (ci === "gitlab" ? "https://gitlab.com" : ""),
  };
}

function check(answers: Answers): void {
  if (!/^[a-z0-9][a-z0-9-]{0,58}$/.test(answers.grant))
    throw new UsageError(`--grant: "${clean(answers.grant)}" is not a name`, "Names have lower-case letters, digits and dashes.");
  if (answers.repositoryId !== "" && !/^\d{1,20}$/.test(answers.repositoryId))
    throw new UsageError(
      "--repository-id is a number, not a name",
      "Names can be given up and taken by others. gh api repos/OWNER/NAME --jq .id",
    );
  for (const [name, text] of Object.entries<string>({ ...answers }))
    if (/[\s\u0000-\u001f"'\\${}]/.test(text))
      throw new UsageError(`${flagOf(name)}: "${clean(text)}" has characters that do not belong there`);
  if (answers.issuer !== "" && !/^https:\/\/[^/]+/.test(answers.issuer))
    throw new UsageError(`--issuer: "${clean(answers.issuer)}" is not an https address`);
}

/** Nothing is overwritten, and nothing is half-made: all are looked for before one is written. */
async function requireAbsent(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const there = await access(file).then(
      () => true,
      () => false,
    );
    if (there)
      throw new UsageError(
        `${file} exists already; nothing was written`,
        "Choose another --folder, or add to it: stint verifier add, stint operator add.",
      );
  }
}

interface Made {
  readonly folder: string;
  readonly operators: string;
  readonly files: readonly string[];
  readonly platform: Platform;
  readonly verifier: string;
  readonly key: string;
  readonly token: string;
  readonly grant: string;
}

function say({ screen, env }: Context, made: Made): void {
  const { errColor: color } = screen;
  for (const file of made.files) note(screen, `${color.green("✓")} ${file}`);
  note(screen, `\nShown once, stored only as hashes:`);
  screen.out.write(`STINT_OPERATOR_TOKEN=${made.token}\nVERIFIER_KEY=${made.key}\n`);
  note(screen, `  The first makes you ${OPERATOR}; the second is for ${made.verifier}, as its Bearer token at introspection.`);
  note(screen, `\nIn the job of ${made.grant}:`);
  for (const line of made.platform.job) note(screen, `  ${line}`);
  const config = made.folder === (env["STINT_CONFIG"] ?? "stint") ? "" : `STINT_CONFIG=${made.folder} `;
  note(screen, `\nNext:`);
  note(
    screen,
    `  1. stint policy test${made.folder === "stint" ? "" : ` ${made.folder}`} && stint policy lint${made.folder === "stint" ? "" : ` ${made.folder}`}`,
  );
  note(screen, `  2. ${config}STINT_OPERATOR_TOKENS_FILE=${made.operators} stint serve`);
  note(screen, `  3. stint lease ls        with STINT_OPERATOR_TOKEN set, while the job runs`);
}

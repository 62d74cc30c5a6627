import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CREDENTIAL_FORMATS } from "../../client/deliver/formats.ts";
import { SHAPE_NAMES } from "../../client/deliver/delivery.ts";
import { CLI, startProgram } from "../client/cli/run-cli.ts";
import { MATERIALS } from "../client/deliver/answers.ts";
import { sshPair } from "../client/deliver/ssh-pair.ts";
import type { RecordingServer } from "../client/recording-server.ts";
import { EVIDENCE, SECRET, credential, toyBroker } from "../client/toy-broker.ts";
import { blocksIn, page, table, words } from "./pages.ts";

const delivery = page("docs/delivery.md");
let folder = "";
let broker: RecordingServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stint-delivery-"));
  const program = async (name: string, line: string): Promise<void> => {
    await writeFile(join(folder, name), `#!/bin/sh\n${line}\n`);
    await chmod(join(folder, name), 0o755);
  };
  await program("stint", `exec "${process.execPath}" "${CLI}" "$@"`);
  // the tools of the page write down what they were given; the shell, git's configuration and the agent are real
  await program("psql", 'echo "psql $PGUSER ${PGPASSWORD:+password} $(grep -c ^host= "$PGSERVICEFILE" 2>/dev/null) $1" >> "$SEEN"');
  await program("ssh", 'echo "ssh $1 $(ssh-add -l 2>/dev/null | grep -c CERT)" >> "$SEEN"');
  await program("gh", 'echo "gh ${GH_TOKEN:+token}" >> "$SEEN"');
  await program("aws", 'echo "aws $(cat "$AWS_WEB_IDENTITY_TOKEN_FILE" | wc -c)" >> "$SEEN"');
  await program(
    "git",
    'if [ "$1" = ls-remote ]; then echo "git $GIT_CONFIG_COUNT" >> "$SEEN"; else exec /usr/bin/env -S PATH="$REAL_PATH" git "$@"; fi',
  );
  const pair = sshPair(folder);
  broker = await toyBroker(({ path, body }) => {
    if (path === "/oauth2/token") return { status: 400, body: { error: "invalid_target", code: "not_a_token", error_description: "no" } };
    if (!path.endsWith("/credentials")) return undefined;
    const { grant, options } = JSON.parse(body) as { readonly grant: string; readonly options?: { readonly public_key?: string } };
    const hosts = options?.public_key === undefined ? pair.material : pair.certified(options.public_key);
    const kinds: Readonly<Record<string, object>> = {
      "orders-db": MATERIALS.postgres,
      "reports-db": MATERIALS.postgres,
      source: MATERIALS.github,
      hosts,
    };
    return { status: 201, body: { ...credential(), grant, credential: kinds[grant] ?? { type: "jwt", token: SECRET } } };
  });
});
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("the examples of delivery", () => {
  it("run as they stand, and the tools find what they look for", async () => {
    const seen = join(folder, "seen");
    const blocks = blocksIn("sh").filter((block) => block.page === "docs/delivery.md");
    expect(blocks.length).toBeGreaterThan(3);
    for (const { text, line } of blocks) {
      const path = process.env["PATH"] ?? "";
      const env = { HOME: folder, STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE, SEEN: seen, PATH: `${folder}:${path}`, REAL_PATH: path };
      const ran = await startProgram("sh", ["-e", "-c", `cd "$HOME"\n${text}`], env).done;
      expect([line, ran.code, ran.code === 0 ? "" : ran.err]).toEqual([line, 0, ""]);
    }
    expect((await readFile(seen, "utf8")).split("\n")).toEqual([
      `psql ${MATERIALS.postgres.username} password  -c`,
      "psql   2 service=orders-db",
      "psql   2 service=reports-db",
      "ssh deploy@host.acme.dev 1",
      "ssh -i 0",
      "ssh -F 0",
      "ssh deploy@host.acme.dev 1",
      "git 2",
      "gh token",
      `aws ${SECRET.length}`,
      "",
    ]);
  }, 120_000);

  it("name every shape and every format", () => {
    expect(table(delivery, "| Shape | What the command has |").flatMap(([cell = ""]) => words(cell))).toEqual([...SHAPE_NAMES]);
    expect(table(delivery, "| `--format` | Writes |").flatMap(([cell = ""]) => words(cell))).toEqual([...CREDENTIAL_FORMATS]);
  });
});

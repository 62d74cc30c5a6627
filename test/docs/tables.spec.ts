import { describe, expect, it } from "@jest/globals";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { PRESET_TABLE, presetOf } from "../../broker/attestation/presets.ts";
import { OTHER_VARIABLES, VARIABLES } from "../../broker/config/environment.ts";
import { ERROR_ANSWERS } from "../../broker/http/error-answers.ts";
import { ROUTES } from "../../broker/http/routes.ts";
import { LINT_RULES } from "../../broker/policy/lint.ts";
import { PRESETS } from "../../broker/policy/policy.ts";
import { createMetrics } from "../../broker/telemetry/metrics.ts";
import { ROLES } from "../../broker/services.ts";
import { ERROR_CODES } from "../../domain/errors.ts";
import { ENDED_BY, LEASE_OUTCOMES, LEASE_STATES, LIMITS, REVOCATIONS } from "../../domain/lease.ts";
import { SCRIPTS } from "../../store/scripts.ts";
import { FAULTS } from "../support/faults/faults.ts";
import { everyMetric } from "../broker/telemetry/every-metric.ts";
import { codeSpans, page, pages, read, root, table, words } from "./pages.ts";

const api = page("docs/api.md");
const architecture = page("docs/architecture.md");
const policy = page("docs/policy.md");
const everything = pages.map(({ text }) => text).join("\n");

/** Sources of these folders, one text. */
const sources = (...folders: readonly string[]): string =>
  folders
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)))
    .filter((path) => /\.(?:ts|lua)$/.test(path))
    .map(read)
    .join("\n");

describe("tables of the API page", () => {
  it("have every route, with who may call it and what it does", () => {
    const made = ROUTES.map(({ method, path, access, summary }) => [`\`${method} ${path}\``, access, summary]);
    expect(table(api, "| Route | Access | Does |")).toEqual(made);
  });

  it("have every error code, with its answers and what to do", () => {
    const made = ERROR_CODES.map((code) => {
      const { status, oauth, oauthStatus, retryable, meaning, remedy } = ERROR_ANSWERS[code];
      return [`\`${code}\``, String(status), `${oauthStatus ?? 400} \`${oauth}\``, retryable ? "yes" : "no", `${meaning} ${remedy}`];
    });
    expect(table(api, "| Code | Status |")).toEqual(made);
  });

  it("have every outcome of a receipt, and every way a task ends", () => {
    expect(table(api, "| Outcome | Means |").map(([cell = ""]) => cell)).toEqual(
      expect.arrayContaining(LEASE_OUTCOMES.map((outcome) => `\`${outcome}\``)),
    );
    expect(table(api, "| Outcome | Means |")).toHaveLength(LEASE_OUTCOMES.length);
    expect(codeSpans(api).map(({ text }) => text)).toContain(ENDED_BY.join(" "));
  });
});

describe("tables of the architecture page", () => {
  it("have every script of the store, and whether it runs when memory is full", () => {
    const made = Object.entries(SCRIPTS).map(([name, { writes }]) => [`\`${name}\``, writes === "room" ? "refused" : "runs"]);
    expect(table(architecture, "| Script | Does |").map(([name, , full]) => [name, full])).toEqual(made);
  });

  it("have every key of a bucket", () => {
    const store = sources("store");
    const inLua = [...store.matchAll(/\bP \.\. ":([a-z]+)/g)].map(([, name = ""]) => name);
    const inCode = [
      ...store.matchAll(/(?:placeKey\((?!"meta")\w+\)|placeKey\(bucketOfId\([\w.]+\)\)|\$\{place\}|\$\{placeKey\(bucket\)\}):([a-z]+)/g),
    ].map(([, name = ""]) => name);
    const records = [...store.matchAll(/recordKey\("([a-z]+)"/g)].map(([, name = ""]) => name);
    const used = new Set([...inLua, ...inCode, ...records, "never"]);
    const listed = table(architecture, "| Key, after").flatMap(([cell = ""]) =>
      [...cell.matchAll(/`:([a-z]+)/g)].map(([, name = ""]) => name),
    );
    // these two belong to the meta place, and stand below the table
    const meta = ["exporter", "fence", "seen", "vault", "vaults", "serials", "revoked"];
    expect([...new Set(listed)].toSorted()).toEqual([...used].filter((name) => !meta.includes(name)).toSorted());
    for (const name of [...meta, "unverified", "locks", "ping"]) expect(architecture.text).toContain(`\`:${name}\``);
  });

  it("have every duty of a broker", () => {
    const [, body = ""] = /const EVERY_MS = \{([^}]*)\}/.exec(read("broker/duties.ts")) ?? [];
    const paced = [...body.matchAll(/(\w+): ([\d_]+)/g)].map(([, name, ms = ""]) => [
      `\`${name}\``,
      `${Number(ms.replaceAll("_", "")) / 1000} s`,
    ]);
    expect(paced.length).toBeGreaterThan(5);
    expect(table(architecture, "| Duty | Every |").map(([name, every]) => [name, every])).toEqual([
      ["`sweep`", "`STINT_SWEEP_CRON`, a second"],
      ...paced,
    ]);
  });

  it("name functions that exist", () => {
    const code = sources("broker", "store", "issuers", "domain");
    const named = new Set([...architecture.text.matchAll(/\b([a-z][A-Za-z]+)\(/g)].map(([, name = ""]) => name));
    expect(named.size).toBeGreaterThan(10);
    expect([...named].filter((name) => !new RegExp(`\\b${name}(?:\\(|<|:|\\?\\()|\\b${name} = `).test(code))).toEqual([]);
  });
});

describe("tables of policy", () => {
  it("weigh every lint rule, and only those that exist", () => {
    const named = table(policy, "| Weight | Rules |").flatMap(([, cell = ""]) => words(cell));
    expect([...new Set(named)].toSorted()).toEqual(Object.keys(LINT_RULES).toSorted());
  });

  it("have every preset with its templates and uses", () => {
    const uses = table(page("README.md"), "| Preset | Who it is |").map(([name, , , count]) => [name, count]);
    expect(uses).toEqual(PRESETS.map((name) => [`\`${name}\``, String(presetOf(name).maxUses)]));
    const templates = table(policy, "| Preset | `id` |").map(([name, id, task]) => [name, id, task]);
    expect(templates).toEqual(
      PRESETS.map((name) => [
        `\`${name}\``,
        `\`${presetOf(name).id}\``,
        presetOf(name).task === undefined ? "none" : `\`${presetOf(name).task ?? ""}\``,
      ]),
    );
    expect(Object.keys(PRESET_TABLE).toSorted()).toEqual([...PRESETS].toSorted());
  });
});

describe("the table of faults", () => {
  it("has every run, in its order", () => {
    expect(table(page("docs/faults.md"), "| Run | What happens |").map(([id]) => id)).toEqual(FAULTS.map(({ id }) => `\`${id}\``));
  });
});

describe("words in the documentation", () => {
  it("name every class of revocation in the README, and every state and limit in the glossary", () => {
    expect(table(page("README.md"), "| `revocation` | When it dies |").map(([name]) => name)).toEqual(
      REVOCATIONS.map((name) => `\`${name}\``),
    );
    const glossary = page("docs/glossary.md").text;
    for (const state of LEASE_STATES) expect(glossary).toContain(`**${state}**`);
    for (const limit of LIMITS) expect(glossary).toContain(limit);
    for (const role of ROLES) expect(page("docs/operations.md").text).toContain(`\`${role}\``);
  });

  it("name only variables that the server or the client reads", () => {
    const client = new Set([...sources("client").matchAll(/"(STINT_[A-Z_]+)"/g)].map(([, name = ""]) => name));
    const withFile = [...client].flatMap((name) => [name, `${name}_FILE`]);
    const known = new Set([...VARIABLES.flatMap(({ name }) => [name, `${name}_FILE`]), ...OTHER_VARIABLES, ...withFile]);
    const named = new Set([...everything.matchAll(/\bSTINT_[A-Z][A-Z_]*[A-Z]\b/g)].map(([name]) => name));
    expect([...named].filter((name) => !known.has(name))).toEqual([]);
  });

  it("name every variable of the client on the page of the command line", () => {
    const listed = table(page("docs/cli.md"), "| Variable | Meaning |").flatMap(([cell = ""]) => words(cell));
    const wanted = OTHER_VARIABLES.filter((name) => !name.startsWith("STINT_TEST_"));
    expect(wanted.filter((name) => !listed.includes(name))).toEqual([]);
  });

  it("name only metrics that are exposed", async () => {
    const { body } = await createMetrics({ version: "0", process: false }).render();
    const known = new Set([...body.matchAll(/^# HELP (\S+)/gm)].map(([, name = ""]) => name.replace(/_total$/, "")));
    const named = new Set([...everything.matchAll(/\bstint_(?!op_|vk_)[a-z][a-z_]*[a-z]\b/g)].map(([name]) => name.replace(/_total$/, "")));
    expect(named.size).toBeGreaterThan(4);
    expect([...named].filter((name) => !known.has(name))).toEqual([]);
  });

  it("have every metric on its page, with type, labels and help", async () => {
    const made = (await everyMetric()).map(({ name, type, help, samples }) => {
      const labels = [...new Set(samples.flatMap((one) => Object.keys(one.labels)))].filter((label) => label !== "le");
      return [`\`${name}${type === "counter" ? "_total" : ""}\``, type, labels.map((label) => `\`${label}\``).join(" ") || "none", help];
    });
    expect(table(page("docs/metrics.md"), "| Metric | Type |")).toEqual(made);
  });

  it("name only error codes that exist, where a code is what they name", () => {
    const codes = new Set<string>(ERROR_CODES);
    const expected = pages.flatMap(({ text }) => [...text.matchAll(/expect: deny ([a-z_]+)/g)].map(([, code = ""]) => code));
    expect(expected.filter((code) => !codes.has(code))).toEqual([]);
    const spans = pages
      .flatMap((one) => codeSpans(one).map(({ text }) => text))
      .filter((text) =>
        /^(?:not_permitted|claim_|condition_|evidence_|store_|audit_|clock_|limit_[ar]|task_ended|lease_ended|on_hold)\w*$/.test(text),
      );
    expect(spans.filter((text) => !codes.has(text) && !["limited_by"].includes(text))).toEqual([]);
  });
});

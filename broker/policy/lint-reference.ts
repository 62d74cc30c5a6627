import { LINT_RULES } from "./lint.ts";

/** `docs/policy-lint.md`, as it belongs in the repository. */
export function renderLintReference(): string {
  const rows = Object.entries(LINT_RULES).map(([id, text]) => `| \`${id}\` | ${text} |`);
  return `# Lint rules of policy documents

Made from \`broker/policy/lint.ts\` by \`npm run generate\`.

A finding is an error or a warning, as its line says. Errors keep documents from loading unless \`Settings\` says \`lint: warn\`, or
the document accepts the rule with a reason: \`accept: { unowned-branch: "tags are protected" }\`. Several rules are warnings for
grants of low and medium sensitivity and errors for high and critical ones.

| Rule | What it finds |
|---|---|
${rows.join("\n")}
`;
}

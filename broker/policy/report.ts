import type { Problem } from "../../domain/errors.ts";
import { summaryOf } from "./explain.ts";
import type { TestResult } from "./tests.ts";

/** A problem as a compiler would print it: place, severity, where in the document, what is wrong, and what would help. */
export function problemText({ file, line, column, path, rule, severity, message, help }: Problem): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  const head = `${place === "" ? "" : `${place}: `}${severity}${rule === undefined ? "" : ` [${rule}]`}: ${path === undefined ? "" : `${path}: `}${message}`;
  return visible(help === undefined ? head : `${head}\n    ${help}`);
}

/** One line for a test that passed; with the reasoning for one that failed. */
export function testText({ grant, name, file, line, passed, expected, got, trace }: TestResult): string {
  if (passed) return visible(`ok    ${grant}: ${name}`);
  const code = got.startsWith("deny ") ? (got.slice(5) as Parameters<typeof summaryOf>[1]) : undefined;
  const reasons = trace === undefined ? [] : [summaryOf(trace, code), ...(expected === "allow" ? (trace.nearest?.change ?? []) : [])];
  return visible(
    [`FAIL  ${grant}: ${name}: expected ${expected}, got ${got} (${file}:${line})`, ...reasons.map((reason) => `        ${reason}`)].join(
      "\n",
    ),
  );
}

/** Control characters of what others wrote do not reach a terminal. */
const visible = (text: string): string => text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "?");

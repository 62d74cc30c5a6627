import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Secret } from "../../../domain/secret.ts";
import { createLogger, gatherLines, type Logger, type LoggerOptions } from "../../../broker/telemetry/logger.ts";

const JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl";

function logger(
  format: LoggerOptions["format"],
  level: LoggerOptions["level"] = "debug",
): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const log = createLogger({ level, format, write: (line) => lines.push(line), clock: () => Date.UTC(2026, 2, 2, 12) });
  return { log, lines };
}
const parsed = (lines: readonly string[]): Record<string, unknown> => JSON.parse(lines[0] ?? "") as Record<string, unknown>;

describe("a log line", () => {
  it("is one JSON object with level, time and fields", () => {
    const { log, lines } = logger("json");
    log.child({ traceId: "abc" }).info({ leaseId: "lease_1" }, "lease activated");
    expect(lines).toEqual([expect.stringMatching(/^\{[^\n]*\}\n$/)]);
    expect(parsed(lines)).toEqual({
      level: "info",
      time: "2026-03-02T12:00:00.000Z",
      pid: process.pid,
      traceId: "abc",
      leaseId: "lease_1",
      msg: "lease activated",
    });
  });

  it("is one readable line on a terminal", () => {
    const { log, lines } = logger("text");
    log.warn({ leaseId: "lease_1", why: "two words", err: new TypeError("bad") }, "lease could not be ended");
    expect(lines).toEqual(['12:00:00.000 warn  lease could not be ended  leaseId=lease_1 why="two words" err="TypeError: bad"\n']);
  });

  it("is not written below the level", () => {
    const { log, lines } = logger("json", "warn");
    log.info({}, "quiet");
    log.error({}, "loud");
    expect(lines.length).toBe(1);
  });
});

describe("a secret in a log line", () => {
  it.each([
    "authorization",
    "Authorization",
    "token",
    "subject_token",
    "task_token",
    "taskToken",
    "client_secret",
    "password",
    "key",
    "private-key",
    "Cookie",
    "credential",
    "assertion",
  ])("is not written under the name %s, at any depth", (name) => {
    const { log, lines } = logger("json");
    log.child({ [name]: "canary" }).info({ [name]: "canary", headers: { deep: [{ [name]: { value: "canary" } }] } }, "asked");
    expect(lines.join("")).not.toContain("canary");
    expect(lines.join("")).toContain("[redacted]");
  });

  it("is not written when it is one of our secrets, or looks like a token, wherever it stands", () => {
    const { log, lines } = logger("json");
    log.error({ wrapped: new Secret("canary"), note: `got ${JWT}`, err: new Error(`refused Bearer abcdefghijkl`), [JWT]: 1 }, `bad ${JWT}`);
    expect(lines.join("")).not.toMatch(/canary|eyJ|abcdefghijkl/);
  });

  it("does not come in with a client library's error", () => {
    const { log, lines } = logger("json");
    const error = Object.assign(new Error("READONLY"), { code: "EREPLY", command: { name: "set", args: ["canary"] } });
    log.error({ err: new Error("store failed", { cause: error }) }, "store failed");
    expect(lines.join("")).not.toContain("canary");
    expect(parsed(lines)).toMatchObject({
      err: { type: "Error", message: "store failed", cause: { message: "READONLY", code: "EREPLY" } },
    });
  });

  it("may be told by its hash or its id", () => {
    const { log, lines } = logger("json");
    log.info({ credentialSha256: "ab12", keyId: "k1", leaseId: "lease_1" }, "seen");
    expect(parsed(lines)).toMatchObject({ credentialSha256: "ab12", keyId: "k1" });
  });
});

describe("what a caller sends, in a log line", () => {
  const nasty = fc.string({
    unit: fc.oneof(fc.constantFrom("\n", "\r", "\u001b[31m", "\u202e", "\u2066", "\u0085", "\u2028", "\u0000", '"', "="), fc.string()),
  });

  it.each(["json", "text"] as const)("never makes a second line, nor moves a terminal's cursor or direction (%s)", (format) => {
    fc.assert(
      fc.property(nasty, (text) => {
        const { log, lines } = logger(format);
        log.info({ workload: text, [text]: text, nested: { list: [text] } }, text);
        expect(lines.length).toBe(1);
        expect(lines[0]?.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/);
        if (format === "json") expect(parsed(lines)).toMatchObject({ level: "info" });
      }),
      { numRuns: 300 },
    );
  });

  it("is cut where it is too long, too deep or too wide", () => {
    const { log, lines } = logger("json");
    let deep: object = {};
    for (let n = 0; n < 1000; n += 1) deep = { deep };
    log.info({ text: "x".repeat(1_000_000), deep, wide: Array.from({ length: 100_000 }, () => 1) }, "much");
    expect(lines[0]?.length).toBeLessThan(5000);
  });
});

describe("lines for stderr", () => {
  it("wait a moment for others, in order, and not without end", async () => {
    const written: string[] = [];
    const lines = gatherLines((text) => written.push(text));
    lines.add("a\n");
    lines.add("b\n");
    expect(written).toEqual([]);
    lines.flush();
    lines.flush();
    expect(written).toEqual(["a\nb\n"]);
    lines.add("x".repeat(32_768));
    expect(written.length).toBe(2);
    lines.add("c\n");
    await new Promise<void>((resolve) => {
      const look = setInterval(() => written.length === 3 && (clearInterval(look), resolve()), 5);
    });
    expect(written[2]).toBe("c\n");
  });

  const said = (code: string): string => {
    const logger = JSON.stringify(join(import.meta.dirname, "../../../broker/telemetry/logger.js"));
    const program = `import { createLogger } from ${logger}; const log = createLogger({ level: "info", format: "json" }); ${code}`;
    return spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" }).stderr;
  };

  it.each([
    ["exits", 'log.info({}, "last words"); process.exit(3);'],
    ["throws", 'log.info({}, "last words"); throw new Error("lost");'],
    ["ends by itself", 'log.info({}, "last words");'],
    ["is killed behind an error", 'log.info({}, "last words"); log.error({}, "bad"); process.kill(process.pid, "SIGKILL");'],
  ])("are all there when the process %s", (_how, code) => {
    expect(said(code)).toContain("last words");
  });
});

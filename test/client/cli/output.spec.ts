import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { credentialHash } from "../../../client/cli/credential-input.ts";
import { childEnvironment, isStripped } from "../../../client/cli/exec/child-environment.ts";
import { parseWishes } from "../../../client/cli/exec/wishes.ts";
import { printList, printRecord, type Column } from "../../../client/cli/output.ts";
import { clean, screenOf, type Screen } from "../../../client/cli/screen.ts";
import { clockTime, relative } from "../../../client/cli/times.ts";

const screen = (tty: boolean, width = 80): { readonly screen: Screen; readonly out: () => string; readonly err: () => string } => {
  const written = { out: "", err: "" };
  const stream = (name: "out" | "err") => new Writable({ write: (chunk, _, done) => ((written[name] += String(chunk)), done()) });
  const plain = screenOf({ NO_COLOR: "1" });
  return { screen: { ...plain, out: stream("out"), err: stream("err"), tty, width }, out: () => written.out, err: () => written.err };
};

interface Item {
  readonly id: string;
  readonly text: string;
}
const columns: readonly Column<Item>[] = [
  { title: "id", whole: true, value: (one) => one.id },
  { title: "text", value: (one) => one.text },
  { title: "extra", optional: 1, value: () => "x".repeat(30) },
];
const list = (items: readonly Item[]) => ({ schema: "item/v1", items, columns, empty: "Nothing." });

describe("a list", () => {
  it("is a table that fits the terminal: what may go goes first, ids stay whole", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 45, max: 200 }), fc.string({ maxLength: 120 }), async (width, text) => {
        const { screen: on, out } = screen(true, width);
        const id = `lease_${"0".repeat(26)}`;
        await printList(on, list([{ id, text }]));
        for (const line of out().split("\n")) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(width);
        expect(out()).toContain(id);
        if (width < 60) expect(out()).not.toContain("EXTRA");
      }),
      { numRuns: 60 },
    );
  });

  it("is tab-separated in a pipe: one line for each, whatever is in it", async () => {
    const { screen: on, out } = screen(false);
    await printList(on, list([{ id: "1", text: "a\tb\nc\u001b[31m" }]));
    expect(out()).toBe(`1\ta b c [31m\t${"x".repeat(30)}\n`);
  });

  it("says on stderr that there is none, and where to go on", async () => {
    const none = screen(true);
    await printList(none.screen, list([]));
    expect([none.out(), none.err()]).toEqual(["", "Nothing.\n"]);
    const more = screen(true);
    await printList(more.screen, { ...list([{ id: "1", text: "t" }]), nextCursor: "abc" });
    expect(more.err()).toBe("More: --cursor abc\n");
  });

  it("is JSON with its schema, whole or only some members", async () => {
    const all = screen(false);
    await printList(all.screen, list([{ id: "1", text: "t" }]), { json: "" });
    expect(all.out()).toBe('{"schema":"item/v1","items":[{"id":"1","text":"t"}],"next_cursor":null}\n');
    const some = screen(false);
    await printList(some.screen, list([{ id: "1", text: "t" }]), { json: "id" });
    expect(some.out()).toBe('{"schema":"item/v1","items":[{"id":"1"}],"next_cursor":null}\n');
    await expect(printList(screen(false).screen, list([{ id: "1", text: "t" }]), { json: "id,nope" })).rejects.toThrow(
      'there is no member "nope"',
    );
  });
});

describe("a record", () => {
  it("gives a script one member bare", () => {
    const { screen: on, out } = screen(false);
    printRecord(on, { schema: "x/v1", item: { id: "1", count: 2 }, rows: [] }, { field: "count" });
    expect(out()).toBe("2\n");
  });
});

describe("what is shown", () => {
  it("never drives a terminal", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(clean(text))));
  });

  it("says times as people do", () => {
    const now = Date.parse("2026-11-22T10:00:00Z");
    expect(
      ["2026-11-22T10:09:12.400Z", "2026-11-22T09:59:57Z", "2026-11-22T10:00:00.2Z", "2026-11-29T13:10:05Z", null, "nonsense"].map((time) =>
        relative(time, now),
      ),
    ).toEqual(["in 9m12s", "3s ago", "now", "in 7d3h", "-", "-"]);
    expect(["2026-11-22T10:09:12.400Z", "2026-12-01T01:02:03Z"].map((time) => clockTime(time, now))).toEqual([
      "10:09:12Z",
      "2026-12-01 01:02Z",
    ]);
  });
});

describe("the command's environment", () => {
  it("loses what could get other credentials, whatever its case, and keeps the rest", () => {
    const lost = [
      "STINT_TASK_TOKEN",
      "stint_id_token",
      "ACTIONS_ID_TOKEN_REQUEST_URL",
      "CIRCLE_OIDC_TOKEN_V2",
      "BUILDKITE_AGENT_ACCESS_TOKEN",
      "AWS_SESSION_TOKEN",
      "AWS_CONTAINER_AUTHORIZATION_TOKEN",
      "AZURE_CLIENT_SECRET",
      "GOOGLE_APPLICATION_CREDENTIALS",
      "IDENTITY_HEADER",
      "VAULT_TOKEN",
    ];
    const kept = ["PATH", "HOME", "AWS_REGION", "GITHUB_SHA", "ACTIONS_RUNNER_DEBUG", "MY_STINT_THING", "AZURE_TENANT_ID"];
    expect([lost.filter(isStripped), kept.filter(isStripped)]).toEqual([lost, []]);
    expect(childEnvironment({ STINT_URL: "x", A: "1" }, { AWS_SESSION_TOKEN: "new" })).toEqual({
      A: "1",
      AWS_SESSION_TOKEN: "new",
    });
  });

  it("names a variable after its grant, or as it was said", () => {
    expect(parseWishes(["deploy-prod", "registry=DOCKER_PASSWORD"])).toEqual([
      { grant: "deploy-prod", ways: [{ as: "usual" }] },
      { grant: "registry", ways: [{ as: "variable", name: "DOCKER_PASSWORD" }] },
    ]);
    for (const wrong of ["", "=X", "a=", "a=1", "a=B C", "A=B", "a=B=C"]) expect(() => parseWishes([wrong])).toThrow("--for");
  });
});

describe("a leaked credential", () => {
  it("is named by its hash, however it was given", async () => {
    const hex = "a".repeat(64);
    expect(await credentialHash(undefined, `sha256:${hex.toUpperCase()}`)).toBe(hex);
    await expect(credentialHash(undefined, "abc")).rejects.toThrow("is not a SHA-256");
    await expect(credentialHash("eyJhbGciOi.eyJzdWIi.c2ln", undefined)).rejects.toThrow("takes the name of a file, not the credential");
    await expect(credentialHash("/nowhere/leaked", undefined)).rejects.toThrow("cannot be read (ENOENT)");
  });
});

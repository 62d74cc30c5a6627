import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordingServer, type RecordingServer, type Received } from "../recording-server.ts";
import { callCli, startCli } from "./run-cli.ts";

const record = (seq: number, more: object = {}) => ({
  bucket: 3,
  seq,
  at: `2026-11-22T10:00:0${seq}.000Z`,
  action: "lease.issued",
  principal: "github:1",
  decision: "allow",
  workload: "github/acme/shop",
  grant: "deploy",
  ...more,
});
const DENIED = record(3, {
  action: "request.denied",
  decision: "deny",
  code: "claim_mismatch",
  denial: "den_3",
  workload: "github/acme/\u001b[2Jshop\n",
});

/** Newest first, two to a page, as the broker answers. */
const pages = ({ path }: Received) => {
  const query = new URL(path, "http://x").searchParams;
  if (!path.startsWith("/v1/audit")) return undefined;
  return {
    body:
      query.get("cursor") === null && query.get("limit") === "1000"
        ? { items: [DENIED, record(2)], next_cursor: "next" }
        : query.get("cursor") === null
          ? { items: [DENIED, record(2)], next_cursor: null }
          : { items: [record(1)], next_cursor: null },
  };
};
const env = (server: RecordingServer) => ({ STINT_URL: server.url, STINT_OPERATOR_TOKEN: "op" });
const queries = (server: RecordingServer) => server.received.map(({ path }) => Object.fromEntries(new URL(path, "http://x").searchParams));

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "stint-audit-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("stint audit query", () => {
  it("asks with every filter, times made plain", async () => {
    await using server = await recordingServer(pages);
    const ran = await callCli(
      [
        "audit",
        "query",
        "--decision",
        "deny",
        "--since",
        "2026-11-22T09:00:00Z",
        "--workload",
        "github/acme/shop",
        "--code",
        "claim_mismatch",
        "--limit",
        "7",
      ],
      env(server),
    );
    expect(ran.code).toBe(0);
    expect(queries(server)).toEqual([
      { decision: "deny", since: "2026-11-22T09:00:00.000Z", workload: "github/acme/shop", code: "claim_mismatch", limit: "7" },
    ]);
    expect(server.received[0]?.headers.authorization).toBe("Bearer op");
  });

  it("prints one line for each, and nothing in a record can forge another or drive the terminal", async () => {
    await using server = await recordingServer(pages);
    const ran = await callCli(["audit", "query"], env(server));
    expect(ran.out).toBe(
      "2026-11-22T10:00:03.000Z\trequest.denied\tgithub/acme/ [2Jshop \tdeploy\tden_3\tclaim_mismatch\n2026-11-22T10:00:02.000Z\tlease.issued\tgithub/acme/shop\tdeploy\t\t\n",
    );
  });

  it("refuses what is no time, no number and no action before it asks", async () => {
    await using server = await recordingServer(pages);
    for (const args of [
      ["--since", "yesterday"],
      ["--limit", "many"],
      ["--limit", "0"],
      ["--action", "lease.stolen"],
      ["--until", "2026-99-99"],
    ]) {
      expect((await callCli(["audit", "query", ...args], env(server))).code).toBe(2);
    }
    expect(server.received).toHaveLength(0);
  });
});

describe("stint audit tail", () => {
  it("prints the latest, oldest first, as JSON where it is asked", async () => {
    await using server = await recordingServer(pages);
    const ran = await callCli(["audit", "tail", "-n", "2", "--json"], env(server));
    expect(
      ran.out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    ).toEqual([2, 3]);
  });

  it("follows: prints what is new once, though it looks back for late records", async () => {
    let more = false;
    await using server = await recordingServer((request) =>
      more ? { body: { items: [record(4), DENIED, record(2)], next_cursor: null } } : pages(request),
    );
    const running = startCli(["audit", "tail", "-f", "--json"], env(server));
    await running.says('"seq":3');
    more = true;
    await running.says('"seq":4');
    running.kill("SIGTERM");
    const ran = await running.done;
    expect(
      ran.out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    ).toEqual([2, 3, 4]);
  });
});

describe("stint audit export", () => {
  it("writes every page, oldest first, into a new file that only its owner can read", async () => {
    await using server = await recordingServer(pages);
    const file = join(folder, "audit.ndjson");
    const ran = await callCli(["audit", "export", "--out", file], env(server));
    expect([ran.code, ran.out]).toEqual([0, ""]);
    expect(
      (await readFile(file, "utf8"))
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    ).toEqual([1, 2, 3]);
    expect((await callCli(["audit", "export", "--out", file], env(server))).code).toBe(1);
  });

  it("writes OCSF events for collectors that know those", async () => {
    await using server = await recordingServer(pages);
    const ran = await callCli(["audit", "export", "--format", "ocsf"], env(server));
    const events = ran.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { metadata: { uid: string; log_name: string }; status_id: number });
    expect(events.map(({ metadata, status_id }) => [metadata.uid, status_id])).toEqual([
      ["3.1", 1],
      ["3.2", 1],
      ["3.3", 2],
    ]);
    expect((await callCli(["audit", "export", "--format", "xml"], env(server))).code).toBe(2);
  });

  it("stops quietly when its reader does", async () => {
    await using server = await recordingServer(pages);
    const ran = await callCli(["audit", "export"], env(server));
    expect(ran.out.trim().split("\n")).toHaveLength(3);
  });
});

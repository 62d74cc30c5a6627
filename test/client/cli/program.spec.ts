import { describe, expect, it } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordingServer } from "../recording-server.ts";
import { EVIDENCE, LEASE, SECRET, toyBroker } from "../toy-broker.ts";
import { selfSigned } from "../../support/self-signed.ts";
import { CLI, runCli, startCli, startProgram } from "./run-cli.ts";

const shell = (command: string): string => command.replaceAll("'", "'\\''");
/** Runs it on a terminal of its own. */
const onTerminal = (args: string, env: Readonly<Record<string, string>>) =>
  startProgram("script", ["-qec", `'${shell(process.execPath)}' '${shell(CLI)}' ${args}`, "/dev/null"], { TERM: "xterm", ...env }).done;

describe("the command line", () => {
  it("offers what was probably meant", async () => {
    const ran = await runCli(["reqest", "deploy"]);
    expect([ran.code, ran.err]).toEqual([2, "✗ unknown command 'reqest'\n  next  Did you mean request?\n"]);
    expect((await runCli(["lease", "list"])).code).toBe(2);
    expect((await runCli(["request", "deploy", "--tll", "5m"])).err).toContain("--ttl");
  });

  it("leads every help with examples, and lists no command that is not there", async () => {
    const help = await runCli(["--help"]);
    expect([help.code, help.out.startsWith("  stint demo")]).toEqual([0, true]);
    for (const later of ["approve", "login"]) expect(help.out).not.toContain(later);
    expect((await runCli(["exec", "--help"])).out.startsWith("  stint exec --for")).toBe(true);
  });

  it("says its version and nothing else", async () => expect((await runCli(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/));

  it.each([["not a url"], ["ftp://x"], ["https://x/path"], ["https://user:pass@x"]])(
    "refuses %s as the address of a broker",
    async (url) => {
      const ran = await runCli(["whoami"], { STINT_URL: url, STINT_ID_TOKEN: EVIDENCE });
      expect([ran.code, ran.err]).toEqual([2, expect.stringContaining("STINT_URL is not the address of a broker")]);
      expect(ran.err).not.toContain("pass");
    },
  );

  it("leaves its variables to the server, which finds all mistakes and exits with 78", async () => {
    const wrong = { STINT_URL: "https://x/path", STINT_WORKERS: "none", STINT_TIMEOUT: "soon", STINT_CA_FILE: "/nowhere/ca.pem" };
    const { code, err } = await startCli(["serve"], wrong).done;
    expect(err).toMatch(/STINT_URL: .*\n *STINT_WORKERS: /);
    expect(code).toBe(78);
  });

  it("says when STINT_CA_FILE names no file, before anything is sent", async () => {
    const ran = await runCli(["whoami"], { STINT_CA_FILE: "/nowhere/ca.pem", STINT_ID_TOKEN: EVIDENCE });
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining("STINT_CA_FILE: /nowhere/ca.pem cannot be read (ENOENT)")]);
  });

  it("shows a lease once that stands on two pages, as the later one has it", async () => {
    const lease = (id: string, state: string): object => ({ id, state, ended_at: null, expires_at: "2099-01-01T00:00:00.000Z" });
    const pages = [
      { items: [lease("lease_a", "active"), lease("lease_b", "active")], next_cursor: "more" },
      { items: [lease("lease_b", "revoking"), lease("lease_c", "active")], next_cursor: null },
    ];
    await using broker = await recordingServer((_, count) => ({ body: pages[count - 1] }));
    const ran = await runCli(["lease", "ls", "--json"], { STINT_URL: broker.url, STINT_OPERATOR_TOKEN: "anybody" });
    const { items } = JSON.parse(ran.out) as { items: { id: string; state: string }[] };
    expect(items.map(({ id, state }) => [id, state])).toEqual([
      ["lease_a", "active"],
      ["lease_b", "revoking"],
      ["lease_c", "active"],
    ]);
    expect(broker.received.map(({ path }) => path)).toEqual([expect.stringContaining("limit=100"), expect.stringContaining("limit=98")]);
  });

  it("says when the variable for a token names no file", async () => {
    const ran = await runCli(["lease", "ls"], { STINT_OPERATOR_TOKEN_FILE: "/nowhere/token" });
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining("STINT_OPERATOR_TOKEN_FILE: /nowhere/token cannot be read (ENOENT)")]);
  });
});

describe("a secret on a terminal", () => {
  it("is shown only when it is asked for", async () => {
    await using broker = await toyBroker();
    const env = { STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE };
    const hidden = await onTerminal("request deploy-prod", env);
    expect(hidden.out).toContain(LEASE);
    expect(hidden.out).toContain("--reveal prints it here");
    expect(hidden.out).not.toContain(SECRET);
    expect((await onTerminal("request deploy-prod --format json", env)).out).not.toContain(SECRET);
    expect((await onTerminal("request deploy-prod --field token", env)).out).not.toContain(SECRET);
    expect((await onTerminal("request deploy-prod --reveal", env)).out).toContain(SECRET);
  });

  it("is registered with GitHub's log before anything else is printed", async () => {
    await using broker = await toyBroker();
    const ran = await runCli(["request", "deploy-prod"], { STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE, GITHUB_ACTIONS: "true" });
    expect([ran.out, ran.err.split("\n")[0]]).toEqual([SECRET, `::add-mask::${SECRET}`]);
  });
});

describe("colour", () => {
  const ls = {
    items: [
      {
        id: LEASE,
        state: "active",
        workload: "w",
        grant: "g",
        task: "t",
        revocation: "immediate",
        opened_at: "2020-01-01T00:00:00.000Z",
        expires_at: "2099-01-01T00:00:00.000Z",
        ended_at: null,
        ended_by: null,
      },
    ],
    next_cursor: null,
  };
  it("is there on a terminal, with a word beside it, and not when NO_COLOR says so", async () => {
    await using broker = await recordingServer(() => ({ body: ls }));
    const env = { STINT_URL: broker.url, STINT_OPERATOR_TOKEN: "op" };
    expect((await onTerminal("lease ls", env)).out).toContain("\u001b[32m● active");
    const plain = await onTerminal("lease ls", { ...env, NO_COLOR: "1" });
    expect(plain.out).toContain("● active");
    expect(plain.out).not.toContain("\u001b[3");
  });
});

describe("a revocation that is not complete", () => {
  it("is exit 10, and says until when what may still be honoured", async () => {
    const LATER = "2099-01-01T00:00:00.000Z";
    const lease = { lease_id: LEASE, issuer: "jwt", outcome: "dead_by", revocation: "expiry_only", dead_by: LATER, took_ms: 3 };
    const job = {
      id: "rev_1",
      state: "done",
      selector: { grant: "g" },
      reason: "r",
      by: "operator:x",
      at: LATER,
      matched: 1,
      ended: 1,
      in_force_at: LATER,
      lock: null,
      receipt: { ended_by: "revoked", settled: true, leases: [lease], dead_by: LATER, more: 0 },
    };
    await using broker = await recordingServer(({ body }) =>
      body.includes("dry_run")
        ? {
            body: {
              dry_run: true,
              selector: { grant: "g" },
              matched: 1,
              tasks: 1,
              by_issuer: [{ issuer: "jwt", leases: 1, revocation: "expiry_only", dead_by: LATER }],
              leases: [],
              truncated: false,
            },
          }
        : { status: 202, body: job },
    );
    const ran = await runCli(["revoke", "--grant", "g", "--reason", "r"], { STINT_URL: broker.url, STINT_OPERATOR_TOKEN: "op" });
    expect(ran.code).toBe(10);
    expect(ran.err).toContain("cannot be called back from verifiers that do not ask: the last dies at 2099-01-01");
    expect(ran.err).toContain("1 may be honoured until 2099-01-01");
    expect(ran.err).not.toContain("✓");
  });
});

describe("a broker behind a certificate authority of our own", () => {
  it("is trusted through STINT_CA_FILE, and not without it", async () => {
    const { key, cert } = selfSigned("localhost", { days: 2 });
    const folder = await mkdtemp(join(tmpdir(), "stint-ca-"));
    const file = join(folder, "ca.pem");
    await writeFile(file, cert);
    const server = createServer({ key, cert }, (_, response) =>
      response.end(JSON.stringify({ kind: "operator", name: "ann", role: "viewer" })),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const env = { STINT_URL: `https://localhost:${(server.address() as AddressInfo).port}`, STINT_OPERATOR_TOKEN: "op" };
      const trusted = await runCli(["whoami", "--field", "name"], { ...env, STINT_CA_FILE: file });
      expect([trusted.code, trusted.out]).toEqual([0, "ann\n"]);
      const unknown = await runCli(["whoami", "--timeout", "1s"], env);
      expect([unknown.code, unknown.err]).toEqual([6, expect.stringContaining("STINT_CA_FILE names the CA to trust")]);
    } finally {
      server.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe("a credential that cannot take the shape that was asked for", () => {
  const released = (received: readonly { readonly path: string }[]): boolean =>
    received.some(({ path }) => path.endsWith(`${LEASE}/release`));

  it.each([
    { name: "in another kind's format", args: ["request", "g", "--format", "pgpass"], says: "opens no Postgres database" },
    { name: "by a member it has not", args: ["request", "g", "--field", "nonsense"], says: 'there is no member "nonsense"' },
    { name: "in a file that cannot be", args: ["request", "g", "--out", "/nowhere/at/all"], says: "ENOENT" },
    { name: "for a tool", args: ["credential-helper", "aws", "--grant", "g"], says: "is no AWS access key" },
  ])("is given back: $name", async ({ args, says }) => {
    await using broker = await toyBroker();
    const ran = await runCli(args, { STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE });
    expect([ran.code === 0, ran.out]).toEqual([false, ""]);
    expect(ran.err).toContain(says);
    expect(ran.err).toContain(`${LEASE} was given back: nobody has it`);
    expect(released(broker.received)).toBe(true);
    expect(ran.err).not.toContain(SECRET);
  });

  it("is kept when all went well, and where giving back fails that is said", async () => {
    await using good = await toyBroker();
    expect((await runCli(["request", "g"], { STINT_URL: good.url, STINT_ID_TOKEN: EVIDENCE })).code).toBe(0);
    expect(released(good.received)).toBe(false);
    await using bad = await toyBroker(({ path }) => (path.endsWith("/release") ? { status: 404, body: { code: "not_found" } } : undefined));
    const ran = await runCli(["request", "g", "--format", "pgpass"], { STINT_URL: bad.url, STINT_ID_TOKEN: EVIDENCE });
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining(`${LEASE} could not be given back and ends at`)]);
  });
});

describe("a target", () => {
  const view = (changed: string | null, warnings: readonly string[] = []) => ({
    name: "web",
    issuer: "ssh",
    owner: null,
    state: "open",
    revocation: "immediate",
    making: 0,
    ending: 0,
    waiting: 0,
    server: null,
    password_changed_at: changed,
    quota: null,
    warnings,
    findings: null,
    trouble: null,
  });
  const rotated = async (before: string | null, after: string, warnings: readonly string[] = []): Promise<string> => {
    await using broker = await recordingServer(({ method }) =>
      method === "GET" ? { body: { items: [view(before)], next_cursor: null } } : { body: view(after, warnings) },
    );
    return (await runCli(["target", "rotate", "web"], { STINT_URL: broker.url, STINT_OPERATOR_TOKEN: "op" })).err;
  };

  it("whose password was changed says when; whose CA is only announced says that", async () => {
    expect(await rotated(null, "2026-03-02T12:00:00.000Z")).toMatch(/^✓ the broker's own password or key at web was changed at /);
    const [at, from] = ["2026-03-02T12:00:00.000Z", "the next CA signs from 2026-03-03T12:00:00.000Z on"];
    expect(await rotated(at, at, [from])).toBe(`✓ the next key at web is announced; the one of now signs until then\n  ${from}\n`);
  });

  it("with more leftovers than are named says how many more", async () => {
    const orphans = Array.from({ length: 7 }, (_, index) => `lease_${index}`);
    const found = { at: "2026-03-02T12:00:00.000Z", mode: "shown", seen: 9, orphaned: 7, orphans, missed: 0, missing: [], failed: 0 };
    await using broker = await recordingServer(() => ({ body: found }));
    const ran = await runCli(["target", "reconcile", "web", "--dry-run"], { STINT_URL: broker.url, STINT_OPERATOR_TOKEN: "op" });
    expect(ran.out).toContain("7 would be ended: lease_0 lease_1 lease_2 lease_3 lease_4 and 2 more");
  });
});

/** What the command says of a revocation that is over, with this receipt. */
async function revokedWith(receipt: { readonly settled: boolean; readonly leases: readonly object[]; readonly dead_by: string | null }) {
  const at = "2026-03-02T12:00:00.000Z";
  const job = {
    id: "rev_1",
    state: "done",
    selector: { lease: LEASE },
    reason: "r",
    by: "x",
    at,
    matched: 1,
    ended: receipt.settled ? 1 : 0,
    in_force_at: at,
    lock: null,
    receipt: { ended_by: "revoked", more: 0, ...receipt },
  };
  await using broker = await recordingServer(({ method }) => ({ status: method === "GET" ? 200 : 202, body: job }));
  return await runCli(["lease", "revoke", LEASE, "--reason", "r"], { STINT_URL: broker.url, STINT_OPERATOR_TOKEN: "op" });
}

describe("a revoked certificate that a host has yet to hear of", () => {
  it("is said to be honoured nowhere from then on", async () => {
    const dead_by = "2099-01-01T00:00:00.000Z";
    const lease = { lease_id: LEASE, issuer: "web", outcome: "dead_by", revocation: "verifier_checked", dead_by, took_ms: 3 };
    const ran = await revokedWith({ settled: true, leases: [lease], dead_by });
    expect([ran.code, ran.err]).toEqual([10, expect.stringContaining("1 revoked, honoured nowhere after 2099-01-01")]);
  });
});

describe("a revocation of which only stuck leases are left", () => {
  it("is not waited for, and says which they are", async () => {
    const lease = {
      lease_id: LEASE,
      issuer: "db",
      outcome: "stuck",
      revocation: "immediate",
      dead_by: null,
      took_ms: null,
      reason: "28P01",
    };
    const ran = await revokedWith({ settled: false, leases: [lease], dead_by: null });
    expect([ran.code, ran.err]).toEqual([10, expect.stringContaining("1 lease stuck")]);
    expect(ran.err).toContain(`${LEASE}  stuck  28P01`);
  });
});

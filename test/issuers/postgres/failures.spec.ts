import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Issuer, RevokeOrder } from "../../../domain/credential.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { Secret } from "../../../domain/secret.ts";
import { systemClock } from "../../../domain/time.ts";
import { asFailure } from "../../../issuers/postgres/failures.ts";
import type { PostgresParams } from "../../../issuers/postgres/settings.ts";
import { eventually } from "../../support/events.ts";
import { BROKER_PASSWORD, loginOf, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";
import { selfSigned } from "../../support/self-signed.ts";

let target: PostgresTarget;
const certificate = selfSigned("localhost", { days: 30 });
const another = selfSigned("localhost", { days: 30 });
beforeAll(async () => {
  target = await startPostgresTarget({ roles: ["app_read"] }, { tls: certificate });
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});

const signal = (ms = 15_000): AbortSignal => AbortSignal.timeout(ms);
const ending = (leaseId: LeaseId): RevokeOrder => ({ leaseId, handle: undefined, expiresAt: systemClock() });
const issue = (issuer: Issuer<PostgresParams> = target.open(), order = target.order({}, {}), within = 15_000) =>
  issuer.issue(order, signal(within));
const like = (name: "RetryableFailure" | "PermanentFailure", ...texts: readonly string[]) => ({
  name,
  message: expect.stringMatching(
    new RegExp(`^[^\n]*${texts.map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^\n]*")}[^\n]*$`),
  ),
});

/** Breaks something, sees what becomes of it, mends it, and sees that it works again. */
async function broken(breakIt: string, mend: string, work: () => Promise<void>): Promise<void> {
  await target.server.sql(breakIt, "app");
  try {
    await work();
  } finally {
    await target.server.sql(mend, "app");
  }
  await issue();
}

describe("what the server says, and what it means for the lease", () => {
  it("a right that is missing: a person must act, and then the lease ends", async () => {
    const order = target.order({}, {});
    const issuer = target.open();
    await issue(issuer, order);
    await broken("ALTER ROLE stint NOCREATEROLE", "ALTER ROLE stint CREATEROLE", async () => {
      await expect(issue(issuer)).rejects.toMatchObject(
        like("PermanentFailure", "the role could not be made: 42501", "permission denied", "our role lacks a right"),
      );
      await expect(issuer.revoke(ending(order.leaseId), signal())).rejects.toMatchObject(
        like("PermanentFailure", "the role could not be ended: 42501"),
      );
    });
    expect(await issuer.revoke(ending(order.leaseId), signal())).toBe("revoked");
  });

  it("a role of the target that does not exist: a person must act", async () => {
    await expect(
      issue(target.open({ roles: ["nobody_made_it"] }), target.order({ params: { role: "nobody_made_it", database: "app" } }, {})),
    ).rejects.toMatchObject(like("PermanentFailure", "42704", 'role "nobody_made_it" does not exist', "mend the target's `roles`"));
  });

  it("a lease's role that somebody dropped: ended already", async () => {
    const order = target.order({}, {});
    const { username } = loginOf(await issue(target.issuer, order));
    await target.server.sql(`DROP ROLE "${username}"`);
    expect(await target.issuer.revoke(ending(order.leaseId), signal())).toBe("already_gone");
    await expect(target.issuer.renew?.(order, signal())).rejects.toMatchObject(
      like("PermanentFailure", "the role is gone: the lease has ended"),
    );
  });

  it("a wrong password, a role that may not log in, a database that is not there: a person must act", async () => {
    const wrong = target.open({}, { secret: async () => new Secret("wrong") });
    await expect(issue(wrong)).rejects.toMatchObject(like("PermanentFailure", "28P01", "our password is not the right one"));
    await broken("ALTER ROLE stint NOLOGIN", "ALTER ROLE stint LOGIN", async () => {
      await expect(issue()).rejects.toMatchObject(like("PermanentFailure", "28000", "not permitted to log in"));
    });
    await expect(issue(target.open({ database: "nowhere" }))).rejects.toMatchObject(
      like("PermanentFailure", "3D000", "the database does not exist"),
    );
  });

  it("no connection left: tried again", async () => {
    await broken("ALTER ROLE stint CONNECTION LIMIT 0", "ALTER ROLE stint CONNECTION LIMIT -1", async () => {
      await expect(issue()).rejects.toMatchObject(like("RetryableFailure", "53300", "all its connections are taken", "it is tried again"));
    });
  });

  it("a table that somebody locked: tried again, and no longer than the limit waited for", async () => {
    const issuer = target.open({ lock_timeout: "300ms" });
    await issue(issuer);
    const holder = await target.server.client({ username: "stint", password: BROKER_PASSWORD, database: "app" });
    await holder.query("BEGIN; LOCK TABLE stint.fence");
    const began = performance.now();
    await expect(issue(issuer)).rejects.toMatchObject(like("RetryableFailure", "55P03", "somebody holds a lock that we need"));
    await expect(issuer.revoke(ending(target.order({}, {}).leaseId), signal())).rejects.toMatchObject(like("RetryableFailure", "55P03"));
    expect(performance.now() - began).toBeLessThan(3_000);
    await holder.query("ROLLBACK");
    await issue(issuer);
  });

  it("the same row changed by somebody else: tried again in the same call", async () => {
    const [issuer, order] = [target.open(), target.order({}, {})];
    const { username } = loginOf(await issue(issuer, order));
    const somebody = await target.server.client({ username: "stint", password: BROKER_PASSWORD, database: "app" });
    await somebody.query(`BEGIN; ALTER ROLE "${username}" CONNECTION LIMIT 3`);
    const expiresAt = order.expiresAt + 60_000;
    const renewed = issuer.renew?.({ ...order, expiresAt }, signal());
    await eventually("the change waits for the other", async () => {
      const waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = 'stint' AND wait_event_type = 'Lock'";
      return (await target.server.sql(waiting)).length > 0;
    });
    await somebody.query("COMMIT");
    await renewed;
    const [row] = await target.server.sql(`SELECT rolvaliduntil AS until FROM pg_authid WHERE rolname = '${username}'`);
    expect(row?.["until"]).toEqual(new Date(expiresAt));
  });

  it.each([
    ["XX000", "RetryableFailure"],
    ["40001", "RetryableFailure"],
    ["40P01", "RetryableFailure"],
    ["57P01", "RetryableFailure"],
    ["57P03", "RetryableFailure"],
    ["08006", "RetryableFailure"],
    ["53300", "RetryableFailure"],
    ["53200", "RetryableFailure"],
    ["55006", "RetryableFailure"],
    ["25006", "RetryableFailure"],
    ["57014", "RetryableFailure"],
    ["2BP01", "RetryableFailure"],
    ["99999", "RetryableFailure"],
    ["42501", "PermanentFailure"],
    ["28P01", "PermanentFailure"],
    ["28000", "PermanentFailure"],
    ["3D000", "PermanentFailure"],
    ["0LP01", "PermanentFailure"],
  ])("%s is a %s, in one printable line", (code, name) => {
    const failure = asFailure({ code, severity: "ERROR", message: "it\nsaid \u001b[31mno\u0000" + "x".repeat(500) }, "it failed");
    expect(failure.name).toBe(name);
    expect(failure.message).toMatch(/^it failed: [\x20-\x7e]{20,400}$/);
    expect(failure.message).toContain(code);
  });
});

describe("a server that is not what it was", () => {
  it("answers nothing: each call ends with its signal, or with its own limit, and goes on when it wakes", async () => {
    const issuer = target.open({ statement_timeout: "1s" });
    const order = target.order({}, {});
    await issue(issuer, order);
    await target.server.pause();
    try {
      const began = performance.now();
      const calls = await Promise.allSettled([
        issue(issuer, target.order({}, {}), 500),
        issuer.revoke(ending(order.leaseId), signal(500)),
        issuer.renew?.(order, signal(500)),
      ]);
      expect(calls.map((call) => (call.status === "rejected" ? String(call.reason) : call.status))).toEqual([
        "RetryableFailure: the role could not be made: the server did not answer in time; it is tried again",
        "RetryableFailure: the role could not be ended in time; it is tried again",
        expect.stringMatching(/^RetryableFailure: the role could not be lengthened: the server did not answer in time/),
      ]);
      expect(performance.now() - began).toBeLessThan(1_500);
      await expect(issue(target.open({ statement_timeout: "1s" }))).rejects.toMatchObject(like("RetryableFailure", "cannot be reached"));
    } finally {
      await target.server.resume();
    }
    expect(await issuer.revoke(ending(order.leaseId), signal())).toMatch(/revoked|already_gone/);
    await issue(issuer);
  });

  it("restarts while credentials are made and ended: what was made is all found again", async () => {
    const issuer = target.open();
    const orders = Array.from({ length: 80 }, () => target.order({}, {}));
    const work = orders.map(async (order, index) => {
      await pause(index * 12);
      await issue(issuer, { ...order, issuedAt: systemClock() }).catch(() => undefined);
      await issuer.revoke(ending(order.leaseId), signal()).catch(() => undefined);
    });
    await pause(300);
    await target.server.restart();
    await Promise.all(work);
    for (const { leaseId } of orders) await issuer.revoke(ending(leaseId), signal());
    const left = await target.server.sql(
      "SELECT rolname FROM pg_roles WHERE rolname = ANY(ARRAY['" + orders.map(({ leaseId }) => leaseId).join("','") + "'])",
    );
    expect(left).toEqual([]);
  });

  it("is down: tried again, and at once when it is back", async () => {
    const issuer = target.open();
    const order = target.order({}, {});
    await issue(issuer, order);
    await target.server.kill9();
    await expect(issue(issuer)).rejects.toMatchObject(like("RetryableFailure", "the role could not be made: the server cannot be reached"));
    await expect(issuer.revoke(ending(order.leaseId), signal())).rejects.toMatchObject(
      like("RetryableFailure", "the server cannot be reached (ECONNREFUSED)"),
    );
    await target.server.restart();
    expect(await issuer.revoke(ending(order.leaseId), signal())).toBe("revoked");
  });
});

describe("a server that has to prove who it is", () => {
  const tls = (ca: string, more: object = {}) =>
    target.open(
      { address: `localhost:${target.server.port}`, tls: { ca_file: "ca.pem", ...more } },
      { secret: async (reference) => new Secret(reference === "file:ca.pem" ? ca : BROKER_PASSWORD) },
    );

  it("does so by a certificate that we believe", async () => {
    const issued = await issue(tls(certificate.cert));
    expect(issued.credential.facts).toMatchObject({ host: "localhost", sslmode: "verify-full" });
    expect(
      await target.server.sql("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'stint' AND ssl"),
    ).toEqual([{ ssl: true }]);
  });

  it("is refused with another's, or with another name", async () => {
    await expect(issue(tls(another.cert))).rejects.toMatchObject(like("PermanentFailure", "the server's certificate is not believed"));
    const elsewhere = { address: `127.0.0.1:${target.server.port}`, tls: { ca_file: "ca.pem" } };
    const secret = async (reference: string) => new Secret(reference === "file:ca.pem" ? certificate.cert : BROKER_PASSWORD);
    await expect(issue(target.open(elsewhere, { secret }))).rejects.toMatchObject(
      like("PermanentFailure", "the server's certificate is not believed"),
    );
    await issue(target.open({ ...elsewhere, tls: { ca_file: "ca.pem", mode: "verify-ca" } }, { secret }));
  });

  it("is not sent our password in clear, nor as MD5, and nothing at all without TLS where that is asked for", async () => {
    for (const [request, name] of [
      [Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]), "clear"],
      [Buffer.from([0x52, 0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4]), "MD5"],
    ] as const) {
      await using thief = await listen(request);
      await expect(issue(target.open({ address: `127.0.0.1:${thief.port}` }))).rejects.toMatchObject(
        like("PermanentFailure", "wants our password in clear or as MD5"),
      );
      expect({ name, heard: thief.heard().toString("latin1") }).toEqual({ name, heard: expect.not.stringContaining(BROKER_PASSWORD) });
      // startup message only: no password message follows
      expect(thief.heard().length).toBe(thief.heard().readUInt32BE(0));
    }
    await using plain = await listen(Buffer.from("N"));
    await expect(issue(target.open({ address: `127.0.0.1:${plain.port}`, tls: { mode: "verify-full" } }))).rejects.toMatchObject(
      like("PermanentFailure", "the server speaks no TLS"),
    );
    expect(plain.heard().length).toBe(8);
  });
});

/** Answers the first message with this, and remembers what it hears. */
async function listen(answer: Buffer): Promise<AsyncDisposable & { readonly port: number; heard(): Buffer }> {
  const heard: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => heard.push(chunk));
    socket.once("data", () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => Buffer.concat(heard),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

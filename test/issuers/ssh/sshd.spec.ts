import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { Issuer } from "../../../domain/credential.ts";
import { systemClock } from "../../../domain/time.ts";
import { sshSerial } from "../../../issuers/naming.ts";
import type { SshParams } from "../../../issuers/ssh/settings.ts";
import { startSshd, type Sshd } from "../../support/sshd.ts";
import { targetPorts } from "../../support/target-ports.ts";
import { caLines, desk, fetched, issueWith, openSsh, withSsh } from "./support.ts";

const DENIED = "Permission denied (publickey)";

withSsh("a real sshd that believes the target's CA", (programs) => {
  let sshd: Sshd;
  let issuer: Issuer<SshParams>;
  beforeAll(async () => {
    issuer = openSsh();
    sshd = await startSshd(programs, { ca: await caLines(issuer), krl: await fetched(issuer, "krl") });
  });
  afterAll(async () => sshd?.[Symbol.asyncDispose]());
  const now = systemClock;

  it("lets in who has the right principal, and logs the lease and the workload", async () => {
    const { held, order } = await issueWith(issuer);
    expect(await sshd.login(held)).toEqual({ code: 0, out: "welcome\n", err: "" });
    expect(await sshd.log()).toContain(
      `ID https://stint.acme.dev/v1/leases/${order.leaseId}#github/acme/shop (serial ${sshSerial(order.leaseId)}) CA ED25519`,
    );
  });

  it("refuses another principal", async () => {
    const { held } = await issueWith(issuer, { principals: ["backup", "root"] });
    expect(await sshd.login(held)).toMatchObject({ code: 255, out: "", err: expect.stringContaining(DENIED) });
    const both = await issueWith(issuer, { principals: ["backup", "deploy"] });
    expect(await sshd.login(both.held)).toMatchObject({ code: 0 });
    const narrowed = await issueWith(issuer, { principals: ["backup", "deploy"] }, { principals: ["backup"] });
    expect(await sshd.login(narrowed.held)).toMatchObject({ code: 255 });
  });

  it("refuses a certificate that has ended, and one that has not begun", async () => {
    const ended = await issueWith(issuer, undefined, {}, { issuedAt: now() - 60_000, expiresAt: now() - 2000 });
    expect(await sshd.login(ended.held)).toMatchObject({ code: 255, err: expect.stringContaining(DENIED) });
    expect(await sshd.log()).toContain("Certificate invalid: expired");
    const early = await issueWith(issuer, undefined, {}, { issuedAt: now() + 120_000, expiresAt: now() + 180_000 });
    expect(await sshd.login(early.held)).toMatchObject({ code: 255, err: expect.stringContaining(DENIED) });
    expect(await sshd.log()).toContain("Certificate invalid: not yet valid");
  });

  it("lets in a host whose clock is half a minute behind ours", async () => {
    const { held } = await issueWith(issuer, undefined, {}, { issuedAt: now() + 25_000, expiresAt: now() + 60_000 });
    expect(await sshd.login(held)).toMatchObject({ code: 0 });
  });

  it("refuses a certificate from a network it is not for", async () => {
    const far = await issueWith(issuer, { principals: ["deploy"], source_address: ["10.0.0.0/8", "2001:db8::/32"] });
    expect(await sshd.login(far.held)).toMatchObject({ code: 255, err: expect.stringContaining(DENIED) });
    expect(await sshd.log()).toContain("not from a permitted source address (127.0.0.1)");
    const near = await issueWith(issuer, { principals: ["deploy"], source_address: ["2001:db8::1", "10.0.0.0/8", "127.0.0.1"] });
    expect(await sshd.login(near.held)).toMatchObject({ code: 0 });
  });

  it("runs the forced command whatever is asked for", async () => {
    const { held } = await issueWith(issuer, { principals: ["deploy"], force_command: `echo "only this, not $SSH_ORIGINAL_COMMAND"` });
    expect(await sshd.login(held, "cat /etc/passwd")).toEqual({ code: 0, out: "only this, not cat /etc/passwd\n", err: "" });
  });

  it("gives a terminal, and other channels, only where the grant permits them", async () => {
    const tty = ["-tt"];
    const without = await issueWith(issuer);
    expect((await sshd.login(without.held, "test -t 0 && echo a terminal", tty)).out).not.toContain("a terminal");
    const permitted = await issueWith(issuer, { principals: ["deploy"], extensions: ["permit-pty"] });
    expect((await sshd.login(permitted.held, "test -t 0 && echo a terminal", tty)).out).toContain("a terminal");
    const forward = ["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:1"];
    expect(await sshd.login(without.held, "true", forward)).toMatchObject({ code: 255 });
    const tunnel = await issueWith(issuer, { principals: ["deploy"], extensions: ["permit-port-forwarding"] });
    expect(await sshd.login(tunnel.held, "true", forward)).toMatchObject({ code: 0 });
  });

  it("refuses a certificate of a CA that it does not know", async () => {
    const { held } = await issueWith(openSsh());
    expect(await sshd.login(held)).toMatchObject({ code: 255, err: expect.stringContaining(DENIED) });
  });

  it("refuses a certificate beside another key than its own", async () => {
    const [mine, theirs] = [await issueWith(issuer), await issueWith(issuer)];
    expect(await sshd.login({ privateKey: mine.held.privateKey, certificate: theirs.held.certificate })).toMatchObject({ code: 255 });
  });

  it.each(["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048", "rsa-4096"])(
    "lets in an asker with a key of its own: %s",
    async (kind) => {
      await using files = await desk();
      const [type = "", bits] = kind.split("-");
      await files.keygen(
        "-q",
        "-t",
        type,
        ...(bits === undefined ? [] : ["-b", bits]),
        "-N",
        "",
        "-C",
        'me, "you"',
        "-f",
        `${files.folder}/id`,
      );
      const { issued } = await issueWith(issuer, undefined, { public_key: await files.read("id.pub") });
      expect(issued.credential.secrets).toBeUndefined();
      const held = { privateKey: await files.read("id"), certificate: issued.credential.token.reveal() };
      expect(await sshd.login(held)).toMatchObject({ code: 0, out: "welcome\n" });
    },
  );
});

withSsh("a revoked certificate", (programs) => {
  it("is refused once the host has read the list anew, and no other is", async () => {
    const issuer = openSsh();
    await using sshd = await startSshd(programs, { ca: await caLines(issuer), krl: await fetched(issuer, "krl") });
    const [mine, other] = [await issueWith(issuer), await issueWith(issuer)];
    expect(await sshd.login(mine.held)).toMatchObject({ code: 0 });
    const { leaseId, expiresAt } = mine.order;
    expect(await issuer.revoke({ leaseId, handle: undefined, expiresAt }, AbortSignal.timeout(1000))).toBe("revoked");
    await sshd.put("krl", await fetched(issuer, "krl"));
    expect(await sshd.login(mine.held)).toMatchObject({ code: 255 });
    expect(await sshd.log()).toContain("revoked by file");
    expect(await sshd.login(other.held)).toMatchObject({ code: 0 });
    // signed after it was revoked: the serial is the lease's, whoever signs it and whenever
    const late = await issueWith(issuer, undefined, {}, { leaseId });
    expect(await sshd.login(late.held)).toMatchObject({ code: 255 });
  });

  it("is refused among thousands, and those of nobody do not stand in its neighbours' way", async () => {
    const ports = targetPorts(systemClock);
    const issuer = openSsh({}, ports);
    const kept = await issueWith(issuer);
    const revoked = await issueWith(issuer);
    const serial = (one: typeof kept): bigint => sshSerial(one.order.leaseId);
    const end = systemClock() + 600_000;
    const add = (one: bigint): Promise<unknown> => ports.revoked.add(one.toString(), end);
    for (let index = 0n; index < 5000n; index++) await add((index * 0x9e37_79b9_7f4a_7c15n) & 0x7fff_ffff_ffff_ffffn);
    // beside the kept one: a run to its left (a range), every other one to its right (a bitmap)
    for (let index = 1n; index < 300n; index++) await Promise.all([add(serial(kept) - index), add(serial(kept) + index * 2n)]);
    await issuer.revoke({ leaseId: revoked.order.leaseId, handle: undefined, expiresAt: end }, AbortSignal.timeout(1000));
    await using sshd = await startSshd(programs, { ca: await caLines(issuer), krl: await fetched(issuer, "krl") });
    expect(await sshd.login(kept.held)).toMatchObject({ code: 0 });
    expect(await sshd.login(revoked.held)).toMatchObject({ code: 255 });
  });

  it("is refused like every other where the list is gone or empty: sshd fails closed", async () => {
    const issuer = openSsh();
    await using sshd = await startSshd(programs, { ca: await caLines(issuer), krl: await fetched(issuer, "krl") });
    const { held } = await issueWith(issuer);
    await sshd.put("krl", "not a list");
    expect(await sshd.login(held)).toMatchObject({ code: 255 });
    await sshd.remove("krl");
    expect(await sshd.login(held)).toMatchObject({ code: 255 });
    await sshd.put("krl", await fetched(issuer, "krl"));
    expect(await sshd.login(held)).toMatchObject({ code: 0 });
  });
});

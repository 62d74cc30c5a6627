import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { PermanentFailure } from "../../../domain/credential.ts";
import { newId } from "../../../domain/ids.ts";
import { keyIdFor } from "../../../issuers/ssh/key-id.ts";
import { sshKind } from "../../../issuers/ssh/issuer.ts";
import { issuerKinds } from "../../../issuers/catalog.ts";
import { sshSerial } from "../../../issuers/naming.ts";
import { issuerContract } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { targetPorts } from "../../support/target-ports.ts";
import { desk, issueWith, openSsh, withSsh } from "./support.ts";

const clock = fakeClock();
const signal = AbortSignal.timeout(60_000);

issuerContract("ssh", async () => ({
  issuer: openSsh({}, targetPorts(clock)),
  settings: { principals: ["deploy"] },
  now: clock,
  [Symbol.asyncDispose]: async () => undefined,
}));

describe("an SSH certificate on the wire", () => {
  it("names its lease, its serial, its principals and its end, and where it opens", async () => {
    const place = { host: "web.acme.dev", port: 2222, user: "deploy", known_hosts: ["web.acme.dev ssh-ed25519 AAAA"] };
    const { order, issued } = await issueWith(openSsh(place), { principals: ["deploy", "backup"] }, {}, { expiresAt: 1_800_000_000_999 });
    expect(issued.credential).toMatchObject({
      type: "ssh_certificate",
      member: "certificate",
      facts: {
        ...place,
        key_id: `https://stint.acme.dev/v1/leases/${order.leaseId}#github/acme/shop`,
        serial: sshSerial(order.leaseId).toString(),
        principals: ["deploy", "backup"],
        valid_until: "2027-01-15T08:00:00.000Z",
      },
    });
    expect(issued.credential.token.reveal()).toMatch(new RegExp(`^ssh-ed25519-cert-v01@openssh\\.com [A-Za-z0-9+/]+=* ${order.leaseId}$`));
    expect(issued.handle).toBeUndefined();
  });

  it("can be found at the target by the serial that was written down before it was made", () => {
    const lease = newId("lease", clock());
    const issuer = openSsh();
    expect(issuer.externalName?.(lease)).toBe(sshSerial(lease).toString());
    expect(issuer.computesOnly).toBe(false);
    expect(issuer.bearer).toBe(false);
    expect(issuer.list).toBeUndefined();
    expect(issuerKinds.get("ssh")).toBe(sshKind);
  });

  it("dies by the list where the Target says how often hosts read it, and else by its own end", () => {
    expect(openSsh({ list_read_every: "30s" })).toMatchObject({ revocation: "verifier_checked", checkedWithinMs: 30_000 });
    expect(openSsh()).toMatchObject({ revocation: "expiry_only", checkedWithinMs: undefined });
  });

  it("says what a person should mend", async () => {
    const facts = await openSsh({}, targetPorts(clock)).examine?.(signal);
    expect(facts).toEqual({
      server: expect.stringMatching(/^OpenSSH CA ssh-ed25519 SHA256:/),
      passwordChangedAt: clock(),
      warnings: [expect.stringContaining("list_read_every is not set")],
    });
    expect((await openSsh({ list_read_every: "30s" }).examine?.(signal))?.warnings).toEqual([]);
  });
});

describe("a serial", () => {
  it("follows from the lease alone, is positive, and fits in 63 bits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (at) => {
        const lease = newId("lease", at);
        const serial = sshSerial(lease);
        return serial > 0n && serial < 1n << 63n && serial === sshSerial(lease);
      }),
    );
    // printf lease_0000000000000000000000000a | sha256sum: its first 16 digits without the first bit
    expect(sshSerial("lease_0000000000000000000000000a")).toBe(4382609525051597967n);
  });
});

describe("revoking", () => {
  it("lists the serial until the certificate has ended everywhere, whether it was ever signed or not", async () => {
    const ports = targetPorts(clock);
    const issuer = openSsh({}, ports);
    const leaseId = newId("lease", clock());
    const order = { leaseId, handle: undefined, expiresAt: clock() + 60_000 };
    expect(await issuer.revoke(order, signal)).toBe("revoked");
    expect(await issuer.revoke(order, signal)).toBe("already_gone");
    expect([...ports.listed.values()]).toEqual([
      { serial: sshSerial(leaseId).toString(), revokedAt: clock(), expiresAt: order.expiresAt + 300_000 },
    ]);
  });

  it("lists nothing that has ended by itself: the list holds what was taken back, not what is over", async () => {
    const ports = targetPorts(clock);
    const order = { leaseId: newId("lease", clock()), handle: undefined, expiresAt: clock() };
    expect(await openSsh({}, ports).revoke(order, signal)).toBe("already_gone");
    expect(ports.listed.size).toBe(0);
  });
});

describe("the key id", () => {
  const leaseId = newId("lease", clock());
  it("is one word of harmless letters, whatever a workload is called", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), fc.string({ maxLength: 400 })), (workload) => {
        const id = keyIdFor("https://stint.acme.dev", { leaseId, workload });
        return /^https:\/\/stint\.acme\.dev\/v1\/leases\/lease_[0-9a-z]{26}#[A-Za-z0-9._~:/@%-]{0,257}$/.test(id);
      }),
    );
  });

  it.each([
    ["a\nAccepted publickey for root", "a%0AAccepted%20publickey%20for%20root"],
    ["x (serial 1) CA ED25519", "x%20%28serial%201%29%20CA%20ED25519"],
    ["\u0000\u001b[2J\u202e", "%00%1B%5B2J%E2%80%AE"],
    ["\ud800", "%EF%BF%BD"],
    ["k8s:payments/api@prod", "k8s:payments/api@prod"],
    ["é".repeat(50), `${"%C3%A9".repeat(42)}%C3~`],
  ])("escapes %j", (workload, shown) => {
    expect(keyIdFor("http://127.0.0.1:8420", { leaseId, workload })).toBe(`http://127.0.0.1:8420/v1/leases/${leaseId}#${shown}`);
  });
});

describe("options that a grant does not go as far as", () => {
  const issuer = openSsh();
  const refusal = (settings: unknown, options: unknown): string | undefined =>
    issuer.refuses?.(issuer.params.parse(settings), issuer.options?.parse(options) ?? {});
  const public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me";

  it("are refused before anything is signed", async () => {
    expect(refusal({ principals: ["deploy"] }, { principals: ["deploy"] })).toBeUndefined();
    expect(refusal({ principals: ["deploy"] }, { principals: ["deploy", "root"] })).toBe("the grant has no principal root; it has deploy");
    expect(refusal({ principals: ["deploy"], key: "ask" }, {})).toContain("give `public_key`");
    expect(refusal({ principals: ["deploy"], key: "ask" }, { public_key })).toBeUndefined();
    expect(refusal({ principals: ["deploy"], key: "make" }, { public_key })).toContain("leave `public_key` out");
    expect(refusal({ principals: ["deploy"], key: "make" }, {})).toBeUndefined();
    await expect(issueWith(issuer, { principals: ["deploy"] }, { principals: ["root"] })).rejects.toThrow(PermanentFailure);
  });
});

withSsh("ssh-keygen", () => {
  it("reads from a certificate what the grant and the order say", async () => {
    await using files = await desk();
    const settings = {
      principals: ["deploy", "web@acme.dev"],
      force_command: `/usr/bin/deploy --to "prod" 'it''s' é`,
      source_address: ["10.1.2.0/24", "2001:db8::/32"],
      extensions: ["permit-X11-forwarding", "permit-user-rc", "permit-agent-forwarding", "permit-pty", "permit-port-forwarding"],
      custom_extensions: { "login@github.com": "octocat" },
    };
    const times = { issuedAt: Date.parse("2026-03-02T12:00:30.900Z"), expiresAt: Date.parse("2026-03-02T12:10:00.900Z") };
    const { order, issued } = await issueWith(openSsh(), settings, {}, times);
    const path = await files.put("id-cert.pub", issued.credential.token.reveal());
    const { code, out } = await files.keygen("-L", "-f", path);
    expect(code).toBe(0);
    const lines = out.split("\n").map((line) => line.trim());
    expect(lines).toEqual(
      expect.arrayContaining([
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate",
        `Key ID: "https://stint.acme.dev/v1/leases/${order.leaseId}#github/acme/shop"`,
        `Serial: ${sshSerial(order.leaseId)}`,
        "deploy",
        "web@acme.dev",
        expect.stringMatching(/^force-command \/usr\/bin\/deploy --to "prod"/),
        "source-address 10.1.2.0/24,2001:db8::/32",
        "permit-pty",
        "permit-X11-forwarding",
        expect.stringMatching(/^login@github\.com UNKNOWN/),
      ]),
    );
    const extensions = lines.slice(lines.indexOf("Extensions:") + 1).filter(Boolean);
    expect(extensions.map((line) => line.split(" ")[0])).toEqual([
      "login@github.com",
      "permit-X11-forwarding",
      "permit-agent-forwarding",
      "permit-port-forwarding",
      "permit-pty",
      "permit-user-rc",
    ]);
    expect(lines.find((line) => line.startsWith("Valid:"))).toBe("Valid: from 2026-03-02T12:00:00 to 2026-03-02T12:10:00");
  });

  it("finds nothing permitted where the grant permits nothing", async () => {
    await using files = await desk();
    const { issued } = await issueWith(openSsh());
    const { out } = await files.keygen("-L", "-f", await files.put("id-cert.pub", issued.credential.token.reveal()));
    expect(out).toContain("Critical Options: (none)");
    expect(out).toContain("Extensions: (none)");
  });

  it("reads the private key that comes with a certificate, and finds it to be the certificate's", async () => {
    await using files = await desk();
    const { held } = await issueWith(openSsh());
    const key = await files.put("id", held.privateKey);
    const { code, out } = await files.keygen("-y", "-f", key);
    expect(code).toBe(0);
    const certificate = await files.put("id-cert.pub", held.certificate);
    const fingerprint = async (path: string): Promise<string> => (await files.keygen("-l", "-f", path)).out.split(" ")[1] ?? "";
    expect(await fingerprint(await files.put("id.pub", out))).toBe(await fingerprint(certificate));
  });
});

import { describe, expect, it } from "@jest/globals";
import type { z } from "zod";
import { isIP } from "node:net";
import fc from "fast-check";
import { sourceNetwork } from "../../../issuers/ssh/address.ts";
import { SshOptions, SshParams, SshSettings } from "../../../issuers/ssh/settings.ts";

const problems = (schema: z.ZodType, value: unknown): string => {
  const result = schema.safeParse(value);
  return result.success ? "" : result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
};
const principals = ["deploy"];
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me";

describe("what a grant may say of a certificate", () => {
  it.each(["deploy", "web_1", "Backup", "role/deploy@acme.dev", "team:payments", "a".repeat(128), "svc-1.2+3"])(
    "may name the principal %s",
    (name) => expect(problems(SshParams, { principals: [name] })).toBe(""),
  );

  it.each([
    ["a comma", "deploy,root"],
    ["an end of line", "deploy\nroot"],
    ["a NUL", "deploy\0"],
    ["a space", "deploy root"],
    ["a quote", 'deploy"'],
    ["a wildcard", "*"],
    ["another wildcard", "dep?oy"],
    ["a negation", "!deploy"],
    ["a comment", "#deploy"],
    ["an option", "-oProxyCommand=x"],
    ["nothing", ""],
    ["too many letters", "a".repeat(129)],
    ["letters that only look like others", "deplоy"],
    ["a claim of somebody's", "${actor}"],
    ["an end of line at its end", "deploy\n"],
  ])("never names a principal with %s", (_, name) => {
    expect(problems(SshParams, { principals: [name] })).toContain("principals.0: must be a principal of letters");
    expect(problems(SshOptions, { principals: [name] })).toContain("principals.0: must be a principal of letters");
  });

  it.each([
    ["no principals", {}, "principals: "],
    ["an empty list of principals", { principals: [] }, "principals: must hold at least one: a certificate without principals"],
    ["33 principals", { principals: Array.from({ length: 33 }, (_, index) => `p${index}`) }, "principals: holds more than 32"],
    ["one principal twice", { principals: ["a", "a"] }, "principals: names a principal twice"],
    ["principals as text", { principals: "deploy" }, "principals: "],
    ["an empty command", { principals, force_command: "" }, "force_command: must name a command"],
    ["a command of two lines", { principals, force_command: "true\nfalse" }, "force_command: must not hold control characters"],
    ["a command with a NUL", { principals, force_command: "true\0" }, "force_command: must not hold control characters"],
    ["an endless command", { principals, force_command: "x".repeat(4097) }, "force_command: is longer than 4096"],
    ["no network at all", { principals, source_address: [] }, "source_address: must hold a network"],
    ["65 networks", { principals, source_address: Array.from({ length: 65 }, (_, index) => `10.0.${index}.0/24`) }, "holds more than 64"],
    ["an extension that is none", { principals, extensions: ["permit-everything"] }, "extensions.0: must be one of permit-pty"],
    ["an extension twice", { principals, extensions: ["permit-pty", "permit-pty"] }, "extensions: names an extension twice"],
    ["OpenSSH's own as a custom one", { principals, custom_extensions: { "permit-pty": "" } }, "must be a name such as login@github.com"],
    ["a custom one with a line break", { principals, custom_extensions: { "a@b.c": "x\ny" } }, "must not hold control characters"],
    ["an endless custom one", { principals, custom_extensions: { "a@b.c": "x".repeat(1025) } }, "is longer than 1024"],
    [
      "17 custom ones",
      { principals, custom_extensions: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`a${i}@b.c`, ""])) },
      "more than 16",
    ],
    ["a maker that is none", { principals, key: "both" }, "key: "],
    ["a word we do not know", { principals, principal: "x" }, "principal"],
  ])("is refused when it is %s", (_, settings, message) => {
    expect(problems(SshParams, settings)).toContain(message);
  });

  it("permits nothing that it does not name", () => {
    expect(SshParams.parse({ principals })).toEqual({ principals, extensions: [], custom_extensions: {}, key: "either" });
  });
});

describe("a network", () => {
  it.each([
    ["10.1.2.0/24", "10.1.2.0/24"],
    ["192.0.2.7", "192.0.2.7/32"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8::/32", "2001:db8::/32"],
    ["::1", "::1/128"],
    ["::/0", "::/0"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6/128"],
  ])("%s is %s to sshd", (text, network) => expect(sourceNetwork(text)).toEqual({ network }));

  it.each([
    ["10.1.2.3/24", "has bits behind its prefix of 24"],
    ["2001:db8::1/32", "has bits behind its prefix of 32"],
    ["10.0.0.0/33", "must have a prefix of at most 32 bits"],
    ["::/129", "must have a prefix of at most 128 bits"],
    ["::ffff:10.0.0.1", "must be written as an IPv4 network"],
    ["10.0.0.0/8,0.0.0.0/0", "must be an address or a network"],
    ["!10.0.0.0/8", "must be an address or a network"],
    ["10.0.0.0/ 8", "must be an address or a network"],
    ["10.0.0.0/8\n", "must be an address or a network"],
    ["fe80::1%eth0", "must be an address or a network"],
    ["10.0.0", "must be an address or a network"],
    ["010.0.0.1", "must be an address or a network"],
    ["localhost", "must be an address or a network"],
    ["*", "must be an address or a network"],
    ["", "must be an address or a network"],
  ])("%j is refused", (text, wrong) => expect(sourceNetwork(text)).toEqual({ wrong: expect.stringContaining(wrong) }));

  it("that is accepted is one that Node reads as an address with nothing behind its prefix", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.option(fc.integer({ min: 0, max: 140 }), { nil: undefined }), (address, prefix) => {
        const read = sourceNetwork(prefix === undefined ? address : `${address}/${prefix}`);
        if ("wrong" in read) return true;
        const [network = "", length = ""] = read.network.split("/");
        return isIP(network) > 0 && Number(length) <= (isIP(network) === 4 ? 32 : 128);
      }),
    );
  });
});

describe("what may be asked beside a grant", () => {
  it("is a key and some principals", () => {
    expect(problems(SshOptions, {})).toBe("");
    expect(SshOptions.parse({ public_key: KEY, principals })).toMatchObject({ public_key: { type: "ssh-ed25519" }, principals });
  });

  it.each([
    ["a key that is none", { public_key: "x" }, "public_key: cannot be used: expected one line as in a .pub file"],
    ["a key of another shape", { public_key: { kty: "OKP" } }, "public_key: must be one line of a .pub file"],
    ["an endless key", { public_key: `${KEY}${"x".repeat(9000)}` }, "public_key: is longer than 4096"],
    ["no principal", { principals: [] }, "principals: must hold at least one"],
    ["a command", { force_command: "id" }, "force_command"],
    ["a time", { valid_before: 1 }, "valid_before"],
  ])("is refused when it is %s", (_, options, message) => expect(problems(SshOptions, options)).toContain(message));
});

describe("a Target of the issuer ssh", () => {
  it.each([
    ["nothing but its kind", {}],
    [
      "a place",
      { host: "web.acme.dev", port: 22, user: "deploy", known_hosts: [`web.acme.dev ${KEY}`, `@cert-authority *.acme.dev ${KEY}`] },
    ],
    ["a supplied CA", { ca: { key: "file:/run/secrets/ca", also: [KEY] } }],
    ["a CA of our own", { ca: { announce: "30m", distrust: [`SHA256:${"a".repeat(43)}`] }, list_read_every: "30s" }],
  ])("may say %s", (_, settings) => expect(problems(SshSettings, settings)).toBe(""));

  it.each([
    [
      "a key in the document",
      { ca: { key: "-----BEGIN PRIVATE KEY-----" } },
      "ca.key: must be env:NAME or file:PATH, never the key itself",
    ],
    ["a supplied key that we announce", { ca: { key: "file:x", announce: "1h" } }, "ca.announce: belongs to a CA that Stint makes"],
    ["further keys beside our own", { ca: { also: [KEY] } }, "ca.also: belongs to a CA that is supplied"],
    ["a further key that is none", { ca: { key: "file:x", also: ["x"] } }, "ca.also.0: cannot be used"],
    ["a fingerprint that is none", { ca: { distrust: ["MD5:00"] } }, "ca.distrust.0: must be a fingerprint"],
    ["a list read every half second", { list_read_every: "500ms" }, "list_read_every: must be a duration from 1s to 1d"],
    ["a list read hardly ever", { list_read_every: "2d" }, "list_read_every: must be a duration"],
    ["no span at all", { list_read_every: "often" }, "list_read_every: must be a duration"],
    [
      "an announcement that hosts may miss",
      { list_read_every: "1m", ca: { announce: "90s" } },
      "ca.announce: must be at least twice list_read_every",
    ],
    ["a host with a space", { host: "a b" }, "host: must be a host name"],
    ["a host that is an option", { host: "-oProxyCommand=x" }, "host: must be a host name"],
    ["port 0", { port: 0 }, "port: "],
    ["a user that is an option", { user: "-l" }, "user: must be a user name"],
    ["two known hosts in one line", { known_hosts: [`a ${KEY}\nb ${KEY}`] }, "known_hosts.0: must be one line"],
    ["a word we do not know", { hosts: [] }, "hosts"],
  ])("is refused when it is %s", (_, settings, message) => expect(problems(SshSettings, settings)).toContain(message));
});

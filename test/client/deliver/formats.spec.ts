import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { execFile, execFileSync } from "node:child_process";
import { chmod, lstat, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv, promisify } from "node:util";
import { CREDENTIAL_FORMATS, renderCredential, type CredentialFormat } from "../../../client/deliver/formats.ts";
import { isSecret, secretsOf } from "../../../client/deliver/material.ts";
import { writePrivateFile } from "../../../client/deliver/private-file.ts";
import { sshConfiguration } from "../../../client/deliver/ssh-config.ts";
import { UnsuitableError } from "../../../client/deliver/unsuitable.ts";
import { defaultVariable, variablesOf } from "../../../client/deliver/variables.ts";
import { recordingServer } from "../recording-server.ts";
import { MATERIALS, answerOf } from "./answers.ts";
import { toyPostgres } from "./toy-postgres.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "stint-deliver-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const text = (format: CredentialFormat, credential: object, place = {}): string => renderCredential(format, answerOf(credential), place);
const jwt = (token: string): object => ({ type: "jwt", token });

describe("a credential in a shell's or a program's environment", () => {
  it("arrives as it is in a real shell, whatever is in it", () => {
    const words = fc.string({ unit: fc.constantFrom(..."ab'\"\\$`\n !#;&"), minLength: 1, maxLength: 24 });
    fc.assert(
      fc.property(words, (token) => {
        const lines = text("env", jwt(token));
        expect(execFileSync("sh", ["-c", `${lines}printf %s. "$ORDERS_DB_TOKEN"`], { encoding: "utf8" })).toBe(`${token}.`);
      }),
      { numRuns: 30 },
    );
  });

  it("arrives as it is in what reads .env files", () => {
    expect(text("dotenv", jwt('a"b\\c'))).toBe('ORDERS_DB_TOKEN="a\\"b\\\\c"\n');
    for (const token of ["plain", "do$llar", "two\nlines", "q'uote"])
      expect(parseEnv(text("dotenv", jwt(token)))).toEqual({ ORDERS_DB_TOKEN: token });
  });

  it("is in the variables that its own tools read", () => {
    expect(variablesOf(answerOf(MATERIALS.postgres))).toEqual({
      PGHOST: "127.0.0.1",
      PGPORT: "5432",
      PGDATABASE: "shop",
      PGUSER: "lease_01jd0000000000000000000002",
      PGSSLMODE: "disable",
      PGPASSWORD: "s3cret:with\\all' sorts",
    });
    expect(Object.keys(variablesOf(answerOf(MATERIALS.github)))).toEqual(["GITHUB_TOKEN", "GH_TOKEN"]);
    expect(variablesOf(answerOf({ ...MATERIALS.github, api_url: "https://git.acme.dev/api/v3" }))).toMatchObject({
      GH_HOST: "git.acme.dev",
      GH_ENTERPRISE_TOKEN: MATERIALS.github.token,
    });
    expect(variablesOf(answerOf(MATERIALS.rabbit))).toMatchObject({
      ORDERS_DB_HOST: "mq.example.com",
      ORDERS_DB_PASSWORD: "pa55-of-the-maker",
    });
    expect(defaultVariable("2fa-reset")).toBe("_2FA_RESET_TOKEN");
  });

  it("is refused as variables when it is files", () => {
    expect(() => text("env", { type: "ssh_certificate", certificate: "c" })).toThrow(
      new UnsuitableError("a ssh_certificate credential is files, not variables"),
    );
  });
});

describe("a database's credential", () => {
  const psql = async (env: Record<string, string>): Promise<string> =>
    await promisify(execFile)("psql", ["--no-psqlrc", "-c", "select 1"], { env: { PATH: process.env["PATH"], HOME: folder, ...env } }).then(
      () => "in",
      (error: unknown) => (error as { readonly stderr: string }).stderr,
    );

  it("is read by psql from a password file, character by character", async () => {
    await using server = await toyPostgres();
    const credential = { ...MATERIALS.postgres, port: server.port };
    const file = join(folder, "pgpass");
    await writePrivateFile(file, text("pgpass", credential));
    const { PGPASSWORD: _, ...place } = variablesOf(answerOf(credential)) as Record<string, string>;
    expect(await psql({ ...place, PGPASSFILE: file })).toContain("seen");
    expect(server.logins).toEqual([{ user: credential.username, database: "shop", password: credential.password }]);
  });

  it("is read by psql from a service file", async () => {
    await using server = await toyPostgres();
    const credential = { ...MATERIALS.postgres, port: server.port };
    const file = join(folder, "pg_service.conf");
    await writePrivateFile(file, text("pgservice", credential));
    expect(await psql({ PGSERVICEFILE: file, PGSERVICE: "orders-db" })).toContain("seen");
    expect(server.logins).toEqual([{ user: credential.username, database: "shop", password: credential.password }]);
  });

  it("cannot break out of either file", () => {
    const bad = { ...MATERIALS.postgres, password: "x\n*:*:*:*:y" };
    expect(() => text("pgpass", bad)).toThrow("the credential's password holds a control character");
    expect(() => text("pgservice", bad)).toThrow("the credential's password holds a control character");
    expect(() => text("pgservice", { ...MATERIALS.postgres, password: " x" })).toThrow("begins or ends with a space");
    expect(() => text("pgpass", { ...MATERIALS.postgres, host: undefined })).toThrow("the postgres credential has no host");
  });
});

describe("a login for the web", () => {
  it("is read by curl from a netrc file", async () => {
    await using server = await recordingServer(() => ({ body: {} }));
    const file = join(folder, "netrc");
    await writePrivateFile(file, text("netrc", MATERIALS.jwt, { host: "127.0.0.1:8080" }));
    await promisify(execFile)("curl", ["--silent", "--netrc-file", file, server.url]);
    const basic = Buffer.from(`x-access-token:${MATERIALS.jwt.token}`).toString("base64");
    expect(server.received[0]?.headers.authorization).toBe(`Basic ${basic}`);
  });

  it("goes to GitHub's own host, and of anything else only to the host that was named", () => {
    expect(text("netrc", MATERIALS.github)).toBe(`machine github.com login x-access-token password ${MATERIALS.github.token}\n`);
    expect(text("git", MATERIALS.github)).toBe(
      `protocol=https\nhost=github.com\nusername=x-access-token\npassword=${MATERIALS.github.token}\npassword_expiry_utc=4070908800\n`,
    );
    expect(() => text("git", MATERIALS.jwt)).toThrow("for which host is the jwt credential?");
    expect(JSON.parse(text("docker", MATERIALS.jwt, { host: "registry.acme.dev:5000", username: "stint" }))).toEqual({
      ServerURL: "registry.acme.dev:5000",
      Username: "stint",
      Secret: MATERIALS.jwt.token,
    });
    expect(text("netrc", MATERIALS.rabbit, { host: "mq.example.com:15672" })).toBe(
      "machine mq.example.com login u-17 password pa55-of-the-maker\n",
    );
  });

  it("cannot hold what its file would take for more", () => {
    expect(() => text("netrc", { ...MATERIALS.github, token: "a b" })).toThrow("netrc files cannot");
    expect(() => text("git", { ...MATERIALS.github, token: "a\nhost=evil.example" })).toThrow("has several lines");
    expect(() => text("git", MATERIALS.jwt, { host: "a.example\nb" })).toThrow("the host is not a name");
    expect(() => text("git", MATERIALS.postgres, { host: "a.example" })).toThrow("no user name and password for the web");
  });
});

describe("formats of programs' own", () => {
  it("are what client-go reads: a token or a client certificate, without parts of a second", () => {
    expect(JSON.parse(text("exec-credential", MATERIALS.jwt))).toEqual({
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { expirationTimestamp: "2099-01-01T00:00:00Z", token: MATERIALS.jwt.token },
    });
    const certificate = { type: "x509_certificate", certificate: "CERT", private_key: "KEY", ca: "CA", serial: "01" };
    expect((JSON.parse(text("exec-credential", certificate)) as { status: object }).status).toEqual({
      expirationTimestamp: "2099-01-01T00:00:00Z",
      clientCertificateData: "CERT\n",
      clientKeyData: "KEY\n",
    });
    expect(text("x509", certificate)).toBe("KEY\nCERT\n");
    expect(() => text("exec-credential", MATERIALS.postgres)).toThrow("neither a token nor a client certificate");
  });

  it("are what the AWS SDKs read from a process, for AWS keys only", () => {
    const keys = { type: "aws", access_key_id: "ASIAEXAMPLE", secret_access_key: "secret-key", session_token: "session" };
    expect(JSON.parse(text("aws", keys))).toEqual({
      Version: 1,
      AccessKeyId: "ASIAEXAMPLE",
      SecretAccessKey: "secret-key",
      SessionToken: "session",
      Expiration: "2099-01-01T00:00:00.000Z",
    });
    expect(() => text("aws", MATERIALS.jwt)).toThrow(new UnsuitableError("a credential of kind jwt is no AWS access key"));
  });

  it("are refused, each with its reason, where the kind does not fit, and never say the secret", () => {
    for (const [kind, credential] of Object.entries(MATERIALS)) {
      for (const format of CREDENTIAL_FORMATS) {
        try {
          text(format, credential, { host: "host.example" });
        } catch (error) {
          expect([kind, format, error]).toEqual([kind, format, expect.any(UnsuitableError)]);
          for (const secret of secretsOf(credential)) expect(String(error)).not.toContain(secret);
        }
      }
    }
    expect(() => text("header", { ...MATERIALS.jwt, token_type: "DPoP" })).toThrow("bound to a key");
  });
});

describe("an SSH configuration", () => {
  const certificate = { type: "ssh_certificate", certificate: "c", private_key: "k" };
  const made = (more: object) => sshConfiguration(answerOf({ ...certificate, ...more }), "/run/stint-x");

  it("names the key, and the host by the grant's name where the broker knows it", () => {
    const files = made({ host: "web.acme.dev", port: 2222, user: "deploy", known_hosts: ["[web.acme.dev]:2222 ssh-ed25519 AAAA"] });
    expect(files["orders-db-known_hosts"]).toBe("[web.acme.dev]:2222 ssh-ed25519 AAAA\n");
    expect(files["orders-db-config"]).toContain("Host orders-db\n  HostName web.acme.dev\n  Port 2222\nHost *\n  User deploy\n");
    expect(files["orders-db-config"]).toContain("StrictHostKeyChecking yes");
    expect(Object.keys(made({}))).toEqual(["orders-db-config"]);
  });

  it.each([
    ["host", "a\n  ProxyCommand evil"],
    ["user", 'x"; evil'],
    ["port", "22\nInclude /tmp/x"],
    ["known_hosts", ["a b\n@cert-authority * ssh-ed25519 AAAA"]],
  ])("holds nothing that a %s could smuggle in", (name, value) => {
    expect(() => made({ [name]: value })).toThrow(
      new UnsuitableError(`the ${name} of the certificate cannot stand in an SSH configuration`),
    );
  });
});

describe("what is secret of a credential", () => {
  it("is known by kind, and of an unknown kind everything that is not plainly none", () => {
    expect(secretsOf(MATERIALS.postgres)).toEqual([MATERIALS.postgres.password]);
    expect(secretsOf(MATERIALS.rabbit)).toEqual(["pa55-of-the-maker"]);
    expect(secretsOf({ type: "new", anything: { inside: "hidden-too" } })).toEqual(["hidden-too"]);
    expect(isSecret(MATERIALS.postgres, "username")).toBe(false);
  });

  it("is a URL with a password in it, and that password, whatever the member is called", () => {
    const made = { type: "http", url: "amqp://name:p%40ss-word@broker.test/v", host: "broker.test", id: "https://plain.test:8080/x" };
    expect(secretsOf(made)).toEqual(["amqp://name:p%40ss-word@broker.test/v", "p%40ss-word", "p@ss-word"]);
    expect([isSecret(made, "url"), isSecret(made, "id"), isSecret(made, "host")]).toEqual([true, false, false]);
  });

  it("has a key's lines one by one, as a log shows them", () => {
    const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAA\nAAAAAEbm9uZQAAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    expect(secretsOf({ type: "ssh_certificate", certificate: "c", private_key: key })).toEqual([
      key,
      "b3BlbnNzaC1rZXktdjEAAAA",
      "AAAAAEbm9uZQAAAAA",
    ]);
  });
});

describe("a private file", () => {
  it("is its owner's alone, whole, and never written through a link", async () => {
    const [victim, path] = [join(folder, "victim"), join(folder, "target")];
    await writeFile(victim, "untouched");
    await symlink(victim, path);
    await writePrivateFile(path, "secret");
    expect([await readFile(victim, "utf8"), await readFile(path, "utf8")]).toEqual(["untouched", "secret"]);
    expect((await lstat(path)).isFile()).toBe(true);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("leaves nothing behind where it cannot be written", async () => {
    const inside = await mkdtemp(join(folder, "inside-"));
    await writeFile(join(inside, "kept"), "");
    await expect(writePrivateFile(join(inside, "kept", "x"), "secret")).rejects.toMatchObject({ code: "ENOTDIR" });
    const closed = await mkdtemp(join(folder, "closed-"));
    await writePrivateFile(join(closed, "one"), "1");
    await chmod(closed, 0o700);
    expect([await readdir(inside), await readdir(closed)]).toEqual([["kept"], ["one"]]);
  });
});

import { expect, it } from "@jest/globals";
import { spawn } from "node:child_process";
import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, dirname, join } from "node:path";
import type { Issuer } from "../../../domain/credential.ts";
import { systemClock } from "../../../domain/time.ts";
import type { SshParams } from "../../../issuers/ssh/settings.ts";
import { eventually } from "../../support/events.ts";
import { ifPresent } from "../../support/needs.ts";
import { startSshd, type Said } from "../../support/sshd.ts";
import { desk, fetched, issueWith, openSsh, programs, withSsh, type Desk } from "./support.ts";

const script = (name: string): string => join(import.meta.dirname, "../../../../docs/issuers/ssh", name);
const signal = AbortSignal.timeout(60_000);

/** Runs one of the scripts for hosts, with the tools that are there. */
function host(name: string, ...args: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    const path = `${dirname(programs?.keygen ?? "/usr/bin/x")}${delimiter}${process.env["PATH"]}`;
    const child = spawn("sh", [script(name), ...args], { env: { PATH: path } });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    child.once("close", (code) => resolve({ code: code ?? 1, out, err }));
  });
}

/** What a broker serves for the target `web`; `change` says what goes wrong. */
async function serve(issuer: Issuer<SshParams>) {
  let change: ((name: string, body: Uint8Array) => { readonly status?: number; readonly body: Uint8Array }) | undefined;
  const server: Server = createServer((request, response) => {
    const name = request.url?.replace("/targets/web/", "") ?? "";
    void fetched(issuer, name === "krl" ? "krl" : "ca.pub").then((body) => {
      const answer = change?.(name, body) ?? { body };
      response.writeHead(answer.status ?? 200).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/targets/web`,
    goesWrong: (how: typeof change) => void (change = how),
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

const files = async ({ folder }: Desk): Promise<readonly string[]> => (await readdir(folder)).toSorted();

withSsh("a host that fetches what sshd needs", () => {
  const { it } = ifPresent("curl");
  it("has it after one run, and what was revoked since after the next", async () => {
    const issuer = openSsh();
    await using broker = await serve(issuer);
    await using place = await desk();
    expect(await host("refresh.sh", broker.url, place.folder)).toEqual({ code: 0, out: "", err: "" });
    expect(await files(place)).toEqual(["ca.pub", "krl"]);
    const { held, order } = await issueWith(issuer);
    const certificate = await place.put("id-cert.pub", held.certificate);
    expect(await place.keygen("-Q", "-f", join(place.folder, "krl"), certificate)).toMatchObject({ code: 0 });
    await issuer.revoke({ ...order, handle: undefined }, signal);
    await host("refresh.sh", broker.url, place.folder);
    expect(await place.keygen("-Q", "-f", join(place.folder, "krl"), certificate)).toMatchObject({ code: 1 });
  });

  it.each<[string, (name: string, body: Uint8Array) => { readonly status?: number; readonly body: Uint8Array }]>([
    ["empty", () => ({ body: Buffer.alloc(0) })],
    ["an error page", () => ({ status: 503, body: Buffer.from("try again") })],
    ["a page that is no error", () => ({ body: Buffer.from("<html>welcome to the airport</html>") })],
    ["cut off", (_, body) => ({ body: body.subarray(0, Math.floor(body.length / 2)) })],
    ["each in the other's place", (name) => ({ body: name === "krl" ? Buffer.from("ssh-ed25519 AAAA x\n") : Buffer.from("SSHKRL\n\0") })],
  ])("keeps what it had when what comes is %s", async (_, how) => {
    const issuer = openSsh();
    await using broker = await serve(issuer);
    await using place = await desk();
    await host("refresh.sh", broker.url, place.folder);
    const before = await Promise.all(["ca.pub", "krl"].map((name) => readFile(join(place.folder, name))));
    await issuer.revoke({ ...(await issueWith(issuer)).order, handle: undefined }, signal);
    broker.goesWrong(how);
    const said = await host("refresh.sh", broker.url, place.folder);
    expect(said.code).toBe(1);
    expect(said.err).toContain(`krl stays as it was: nothing fit came from ${broker.url}/krl`);
    expect(await Promise.all(["ca.pub", "krl"].map((name) => readFile(join(place.folder, name))))).toEqual(before);
    expect(await files(place)).toEqual(["ca.pub", "krl"]);
  });

  it("keeps what it had when nobody answers, and still takes the one when the other fails", async () => {
    const issuer = openSsh();
    await using place = await desk();
    const gone = await serve(issuer);
    await host("refresh.sh", gone.url, place.folder);
    await gone[Symbol.asyncDispose]();
    expect(await host("refresh.sh", gone.url, place.folder)).toMatchObject({ code: 1 });
    expect(await files(place)).toEqual(["ca.pub", "krl"]);
    await using broker = await serve(issuer);
    broker.goesWrong((name, body) => (name === "ca.pub" ? { status: 500, body } : { body }));
    await writeFile(join(place.folder, "krl"), "old");
    expect(await host("refresh.sh", broker.url, place.folder)).toMatchObject({ code: 1 });
    expect((await readFile(join(place.folder, "krl"))).subarray(0, 6).toString()).toBe("SSHKRL");
  });

  it("takes the list that names a leaked CA, though nothing else is left to believe", async () => {
    const supplied = { privateKey: "" };
    await using place = await desk();
    await place.keygen("-q", "-t", "ed25519", "-N", "", "-f", join(place.folder, "key"));
    supplied.privateKey = await place.read("key");
    await mkdir(join(place.folder, "to"));
    const ports = { ...(await import("../../support/target-ports.ts")).targetPorts(systemClock) };
    ports.secrets.set("file:ca", supplied.privateKey);
    const fingerprint = (await place.keygen("-l", "-f", join(place.folder, "key.pub"))).out.split(" ")[1];
    await using broker = await serve(openSsh({ ca: { key: "file:ca" } }, ports));
    await host("refresh.sh", broker.url, join(place.folder, "to"));
    await using after = await serve(openSsh({ ca: { key: "file:ca", distrust: [fingerprint] } }, ports));
    expect(await host("refresh.sh", after.url, join(place.folder, "to"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("ca.pub stays"),
    });
    expect(await place.keygen("-Q", "-f", join(place.folder, "to/krl"), join(place.folder, "key.pub"))).toMatchObject({ code: 1 });
  });
});

withSsh("a host that looks after open sessions", (programs) => {
  it("ends those of certificates that are over or revoked, and no others", async () => {
    const issuer = openSsh();
    await using sshd = await startSshd(programs, {
      ca: Buffer.from(await fetched(issuer, "ca.pub")).toString(),
      krl: await fetched(issuer, "krl"),
    });
    const short = { expiresAt: systemClock() + 4000 };
    const [kept, revoked, over] = [await issueWith(issuer), await issueWith(issuer), await issueWith(issuer, undefined, {}, short)];
    const ended: string[] = [];
    const sessions = Object.entries({ kept, revoked, over }).map(async ([name, { held }]) => {
      await sshd.login(held, `echo $$ > ${sshd.folder}/${name}; exec sleep 60`);
      ended.push(name);
    });
    for (const name of ["kept", "revoked", "over"])
      await eventually(`${name} runs`, () => access(join(sshd.folder, name)).then(() => true));
    await issuer.revoke({ ...revoked.order, handle: undefined }, signal);
    await sshd.put("krl", await fetched(issuer, "krl"));
    expect(ended).toEqual([]);
    await eventually("both are ended", async () => {
      await host("sessions.sh", join(sshd.folder, "krl"));
      return ended.includes("revoked") && ended.includes("over");
    });
    expect(ended).not.toContain("kept");
    process.kill(Number(await readFile(join(sshd.folder, "kept"), "utf8")), "SIGKILL");
    await Promise.all(sessions);
  });
});

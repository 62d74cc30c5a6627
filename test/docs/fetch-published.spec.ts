import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ifPresent } from "../support/needs.ts";
import { blocksIn } from "./pages.ts";

const list = (body: string): string => `-----BEGIN X509 CRL-----\n${body}\n-----END X509 CRL-----\n`;

let folder = "";
let server: Server;
let answer: { readonly status: number; readonly body: string; readonly cut?: boolean };

/** Runs the page's script once; answers its exit code, whether its command ran, and what stands in the file and the folder. */
async function fetchOnce(): Promise<{
  readonly code: number;
  readonly ran: boolean;
  readonly file: string;
  readonly files: readonly string[];
}> {
  const ran = join(folder, "ran");
  await rm(ran, { force: true });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/targets/mesh/crl.pem`;
  const code = await new Promise<number>((resolve) => {
    execFile("sh", [join(folder, "script"), url, join(folder, "crl.pem"), "touch", ran], (error) =>
      resolve(typeof error?.code === "number" ? error.code : 0),
    );
  });
  const files = (await readdir(folder)).toSorted();
  return {
    code,
    ran: files.includes("ran"),
    file: await readFile(join(folder, "crl.pem"), "utf8").catch(() => ""),
    files: files.filter((name) => name !== "ran"),
  };
}

ifPresent("curl").describe("the script that fetches a published list", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-fetch-"));
    await writeFile(join(folder, "script"), blocksIn("sh").find(({ info }) => info === "sh fetch")?.text ?? "");
    server = createServer((_, response) => {
      response.writeHead(answer.status, answer.cut === true ? { "content-length": answer.body.length + 10 } : {});
      response.write(answer.body);
      if (answer.cut === true) setImmediate(() => response.destroy());
      else response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("writes the first one, and runs the command", async () => {
    answer = { status: 200, body: list("one") };
    expect(await fetchOnce()).toEqual({ code: 0, ran: true, file: list("one"), files: ["crl.pem", "script"] });
  });

  it("runs nothing when nothing changed", async () => {
    expect(await fetchOnce()).toMatchObject({ code: 0, ran: false, file: list("one") });
  });

  it("replaces it when it changed", async () => {
    answer = { status: 200, body: list("two") + list("three") };
    expect(await fetchOnce()).toMatchObject({ code: 0, ran: true, file: list("two") + list("three") });
  });

  it.each([
    ["an error", { status: 503, body: list("bad") }],
    ["nothing", { status: 200, body: "" }],
    ["half of it", { status: 200, body: list("half").slice(0, -10) }],
    ["a broken connection", { status: 200, body: list("cut"), cut: true }],
    ["a page of a proxy", { status: 200, body: "<html>sign in</html>" }],
  ])("keeps the old one, and leaves nothing behind, after %s", async (_, given) => {
    answer = given;
    const before = await readFile(join(folder, "crl.pem"), "utf8");
    const { code, ran, file, files } = await fetchOnce();
    expect(code).not.toBe(0);
    expect({ ran, file, files }).toEqual({ ran: false, file: before, files: ["crl.pem", "script"] });
  });
});

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { selfSigned } from "../../support/self-signed.ts";

export interface GitServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** What each request showed, decoded; empty where there was nothing. */
  readonly seen: readonly string[];
}

/** A repository with one file, over https (git's "dumb" protocol: plain files), for one user only. */
export async function gitServer(folder: string, login: { readonly username: string; readonly password: string }): Promise<GitServer> {
  const place = await mkdtemp(join(folder, "git-"));
  const git = (...args: readonly string[]): void =>
    void execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
      cwd: place,
      stdio: "ignore",
      env: { PATH: process.env["PATH"], HOME: place },
    });
  git("init", "-q", "work");
  await writeFile(join(place, "work", "file"), "content\n");
  git("-C", "work", "add", ".");
  git("-C", "work", "commit", "-qm", "first");
  git("clone", "-q", "--bare", "work", "repo.git");
  git("-C", "repo.git", "update-server-info");
  const seen: string[] = [];
  const server = createServer(selfSigned("127.0.0.1", { days: 2 }), (request, response) => {
    const [, basic = ""] = /^Basic (.*)$/.exec(request.headers.authorization ?? "") ?? [];
    const shown = Buffer.from(basic, "base64").toString();
    seen.push(shown);
    if (shown !== `${login.username}:${login.password}`)
      return void response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
    const path = normalize((request.url ?? "/").replace(/\?.*/, ""));
    readFile(join(place, path)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

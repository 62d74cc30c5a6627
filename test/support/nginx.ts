import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { privateApt, run, unpack } from "../../store/embedded/apt.ts";
import { writeStarter } from "./fetched-program.ts";
import { freePort } from "./redis.ts";

/** Debian's nginx, and what it may lack on a bare machine. */
const PACKAGES = ["nginx", "libpcre2-8-0", "libssl3", "zlib1g", "libcrypt1"];

const cacheDir = (): string => join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "stint");
const fetched = (): string => join(cacheDir(), "nginx", "nginx");

/** The nginx of this machine, or the one that was fetched; undefined when there is none. */
export async function findNginx(): Promise<string | undefined> {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"];
  for (const path of [...folders.map((folder) => join(folder, "nginx")), fetched()]) {
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** Finds an nginx, or fetches one from the system's packages into the cache, without root. Throws where neither works. */
export async function ensureNginx(say: (text: string) => void): Promise<void> {
  if ((await findNginx()) !== undefined) return;
  if (process.env["STINT_TEST_OFFLINE"]) throw new Error("there is no nginx here, and STINT_TEST_OFFLINE forbids to fetch one");
  say("no nginx found: fetching one from the system's packages");
  await mkdir(cacheDir(), { recursive: true, mode: 0o700 });
  const work = await mkdtemp(join(cacheDir(), "fetch-"));
  try {
    const apt = await privateApt(work);
    const files = join(work, "nginx");
    const debs = join(work, "debs");
    await mkdir(files);
    await mkdir(debs);
    await run("apt-get", [...apt, "-qq", "update"], work).catch(() => undefined);
    for (const name of PACKAGES)
      await run("apt-get", [...apt, "-qq", "download", name], debs).catch((error: unknown) => {
        // a library under another name is one that the system has
        if (name === "nginx") throw error;
      });
    await unpack(debs, files);
    await writeStarter(join(files, "nginx"), "usr/sbin/nginx");
    await run(join(files, "nginx"), ["-v"], files);
    await rename(files, join(cacheDir(), "nginx"));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What arrived at the API behind the proxy. */
export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An API that believes whatever reaches it, and remembers it. */
export interface Upstream extends AsyncDisposable {
  readonly address: string;
  readonly arrived: Arrived[];
}

export async function startUpstream(): Promise<Upstream> {
  const arrived: Arrived[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      arrived.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      response.end("deployed");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrived,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Nginx extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Reads its configuration and its files anew. Connections of before may be answered by the old ones for a moment. */
  reload(): void;
}

/** Starts a real nginx on loopback with these locations; `listen` says more of the port (`ssl`). One that reloads has a worker of its own. */
export async function startNginx(
  binary: string,
  locations: string,
  { listen = "", reloads = false }: { readonly listen?: string; readonly reloads?: boolean } = {},
): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), "stint-nginx-"));
  const port = await freePort();
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ");
  const config = `daemon off;
master_process ${reloads ? "on" : "off"};
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log warn;
events { worker_connections 256; }
http {
  access_log off;
  ${temp}
  large_client_header_buffers 4 32k;
  server {
    listen 127.0.0.1:${port}${listen === "" ? "" : ` ${listen}`};
${locations}
  }
}
`;
  await writeFile(join(folder, "nginx.conf"), config);
  const child = spawn(binary, ["-c", join(folder, "nginx.conf"), "-p", folder, "-e", join(folder, "error.log")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  try {
    await answering(port, child.exitCode === null ? gone : Promise.resolve());
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`nginx did not start: ${complaint}`, { cause: error });
  }
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    reload: () => void child.kill("SIGHUP"),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answering(port: number, gone: Promise<void>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => (socket.destroy(), resolve(true))).once("error", () => resolve(false));
    });
    if (open) return;
    const ended = await Promise.race([gone.then(() => true), new Promise<false>((resolve) => setTimeout(() => resolve(false), 25))]);
    if (ended) throw new Error("it ended");
  }
  throw new Error("it does not answer");
}

import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { open, chmod, chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { eventually } from "./events.ts";
import { ensurePostgres, isRoot, type PostgresPrograms } from "./postgres-programs.ts";
import { freePort } from "./redis.ts";

/** What a real `psql` answered. */
export interface PsqlAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PsqlLogin {
  readonly username: string;
  readonly password: string;
  readonly database?: string;
}

/** A real Postgres of this test's own, on loopback and on a unix socket in its folder. Statements are all logged. */
export interface TestPostgres extends AsyncDisposable {
  readonly port: number;
  /** Also the folder of its unix socket. */
  readonly folder: string;
  readonly programs: PostgresPrograms;
  /** As its superuser; rows of the last statement. */
  sql(text: string, database?: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** A connected client, closed with the server. */
  client(login: PsqlLogin): Promise<Client>;
  /** A real psql, over TCP, with the password in its environment. */
  psql(login: PsqlLogin, command: string): Promise<PsqlAnswer>;
  /** Everything that the server wrote. */
  log(): Promise<string>;
  /** SIGSTOP for the server and all its sessions: connected, but answers nothing. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** SIGKILL, and waits until it is gone. Files stay. */
  kill9(): Promise<void>;
  /** Ends its sessions and starts it again on the same port and files. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestPostgresOptions {
  /** Further settings, for example `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines for pg_hba.conf before the usual ones. */
  readonly hba?: readonly string[];
  /** Certificate and key, PEM: it then speaks TLS too. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

const SETTINGS = {
  fsync: "off",
  jit: "off",
  shared_buffers: "32MB",
  max_connections: "60",
  max_prepared_transactions: "8",
  log_statement: "all",
  log_min_messages: "warning",
  listen_addresses: "127.0.0.1",
};
/** `nobody` of nearly everywhere: Postgres refuses to run as root. */
const NOBODY = 65534;
const asNobody: SpawnOptions = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGQUIT");
});

/** Starts it, in about a second. No Postgres at all is a failure, never a skip. */
export async function startPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const programs = await ensurePostgres((text) => console.warn(text));
  const folder = await mkdtemp(join(tmpdir(), "stint-pg-"));
  if (isRoot) await chown(folder, NOBODY, NOBODY);
  const port = await freePort();
  const files = join(folder, "data");
  const logFile = join(folder, "server.log");
  await finished(programs.initdb, ["-D", files, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "-E", "UTF8"]);
  await configure(folder, files, port, options);
  const clients = new Set<Client>();
  let server = await launch(programs.postgres, files, port, logFile);
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, "exit");
    server.kill(signal);
    await gone;
  };
  const everyProcess = async (signal: NodeJS.Signals): Promise<void> => {
    for (const pid of [server.pid ?? 0, ...(await childrenOf(server.pid ?? 0))]) process.kill(pid, signal);
  };
  const stop = async (): Promise<void> => {
    await everyProcess("SIGCONT").catch(() => undefined);
    for (const client of clients) await client.end().catch(() => undefined);
    await kill("SIGQUIT");
    await rm(folder, { recursive: true, force: true });
  };
  return {
    port,
    folder,
    programs,
    sql: async (text, database = "postgres") => {
      const client = await connected({ host: folder, port, user: "postgres", database });
      try {
        const result = await client.query<Record<string, unknown>>(text);
        return (Array.isArray(result) ? result.at(-1) : result)?.rows ?? [];
      } finally {
        await client.end();
      }
    },
    client: async ({ username, password, database = "postgres" }) => {
      const client = await connected({ host: "127.0.0.1", port, user: username, password, database });
      clients.add(client);
      return client;
    },
    psql: (login, command) => psql(programs.psql, port, login, command),
    log: () => readFile(logFile, "utf8"),
    pause: () => everyProcess("SIGSTOP"),
    resume: () => everyProcess("SIGCONT"),
    kill9: async () => {
      await everyProcess("SIGKILL");
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
    },
    restart: async () => {
      await kill("SIGINT");
      await rm(join(files, "postmaster.pid"), { force: true });
      server = await launch(programs.postgres, files, port, logFile);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function connected(config: ClientConfig): Promise<Client> {
  const client = new Client({ connectionTimeoutMillis: 5_000, query_timeout: 60_000, ...config });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function configure(folder: string, files: string, port: number, options: TestPostgresOptions): Promise<void> {
  const settings: Record<string, string> = { ...SETTINGS, port: String(port), unix_socket_directories: folder, ...options.settings };
  if (options.tls !== undefined) {
    await writePrivate(join(files, "server.crt"), options.tls.cert);
    await writePrivate(join(files, "server.key"), options.tls.key);
    settings["ssl"] = "on";
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  await writePrivate(join(files, "postgresql.auto.conf"), `${lines.join("\n")}\n`);
  const hba = [
    ...(options.hba ?? []),
    "local all postgres trust",
    "local all all scram-sha-256",
    "host all all 127.0.0.1/32 scram-sha-256",
  ];
  await writePrivate(join(files, "pg_hba.conf"), `${hba.join("\n")}\n`);
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o600);
  if (isRoot) await chown(path, NOBODY, NOBODY);
}

async function launch(program: string, files: string, port: number, logFile: string): Promise<ChildProcess> {
  const log = await open(logFile, "a");
  const child = spawn(program, ["-D", files], { cwd: "/", stdio: ["ignore", log.fd, log.fd], ...asNobody });
  running.add(child);
  child.once("exit", () => running.delete(child));
  await log.close();
  await eventually(
    "postgres answers",
    async () => {
      if (child.exitCode !== null) throw new Error(`postgres ended: ${await readFile(logFile, "utf8")}`);
      const client = await connected({ host: join(files, ".."), port, user: "postgres", database: "postgres" });
      await client.end();
      return true;
    },
    20_000,
  );
  return child;
}

/** Each session is a process of its own, in a group of its own. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

async function finished(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { cwd: "/", stdio: ["ignore", "ignore", "pipe"], ...asNobody });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${program}: ${said}`);
}

async function psql(program: string, port: number, login: PsqlLogin, command: string): Promise<PsqlAnswer> {
  const args = ["-X", "-w", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", String(port), "-U", login.username];
  const child = spawn(program, [...args, "-d", login.database ?? "postgres", "-c", command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], PGPASSWORD: login.password, PGCONNECT_TIMEOUT: "10" },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, stdout: stdout.trim(), stderr: stderr.trim() };
}

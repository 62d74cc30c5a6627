import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { jwtVerify } from "jose";
import type { Clock } from "../../domain/time.ts";
import { answerSchema, sample, wrongAnswer, wrongRequest } from "./github-openapi.ts";

/** How the next answer to a request goes wrong. `lost`: GitHub does it, and the connection breaks before it could say so. */
export type GitHubFault =
  | { readonly how: "answer"; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  | { readonly how: "text"; readonly status: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly how: "lost" | "half" | "refuse" | "hang" | "huge" }
  | { readonly how: "lie"; readonly change: (truth: Readonly<Record<string, unknown>>) => unknown }
  | { readonly how: "wait"; readonly until: Promise<void> };

interface Token {
  readonly permissions: Readonly<Record<string, string>>;
  readonly repositories: readonly Repository[];
  readonly expiresAt: number;
  revoked: boolean;
}
interface Repository {
  readonly id: number;
  readonly name: string;
}

/** A GitHub that keeps tokens, with one App and one installation of it. */
export interface FakeGitHub extends AsyncDisposable {
  readonly apiUrl: string;
  readonly appId: number;
  readonly clientId: string;
  readonly installationId: number;
  /** PKCS#1, as GitHub hands it out. */
  readonly privateKey: string;
  readonly requests: { readonly method: string; readonly path: string; readonly body: unknown }[];
  /** Where a request or an answer was not as GitHub's OpenAPI description says. Checked by `dispose`, too. */
  readonly wrong: string[];
  /** The repositories that a token opens now; undefined: it opens nothing. */
  repositoriesOf(token: string): Promise<readonly string[] | undefined>;
  /** Tokens that work now. */
  alive(): readonly string[];
  fail(path: "tokens" | "revoke" | "installation", fault: GitHubFault, times?: number): void;
  /** What is left of the hour's calls. */
  quota: { left: number; of: number; resetsAt: number };
  suspended: boolean;
}

const HOUR_MS = 3_600_000;
const REPOSITORIES: readonly Repository[] = [
  { id: 101, name: "shop" },
  { id: 102, name: "site" },
  { id: 103, name: "secrets" },
];
const HELD: Readonly<Record<string, string>> = { metadata: "read", contents: "write", issues: "write", administration: "write" };
const RANK: Readonly<Record<string, number>> = { read: 1, write: 2, admin: 3 };

/** One key for all: making one takes a third of a second. */
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

export async function startGitHub(now: Clock): Promise<FakeGitHub> {
  const tokens = new Map<string, Token>();
  const faults: { readonly path: string; readonly fault: GitHubFault; left: number }[] = [];
  const [appId, clientId, installationId] = [12_345, "Iv23liTestClient", 678];

  const error = (status: number, message: string): Reply => ({ status, body: { message, documentation_url: "https://docs.github.test" } });
  const live = (token: string): Token | undefined => {
    const found = tokens.get(token);
    return found === undefined || found.revoked || found.expiresAt <= now() ? undefined : found;
  };

  async function isApp(bearer: string): Promise<boolean> {
    try {
      const { payload } = await jwtVerify(bearer, publicKey, {
        algorithms: ["RS256"],
        currentDate: new Date(now()),
        requiredClaims: ["iat", "exp"],
      });
      const longest = now() / 1000 + 600;
      return (
        (payload.iss === String(appId) || payload.iss === clientId) && (payload.exp ?? 0) <= longest && (payload.iat ?? 0) <= now() / 1000
      );
    } catch {
      return false;
    }
  }

  const installation = (): unknown =>
    sample(answerSchema("/orgs/{org}/installation", "get", "200"), {
      id: installationId,
      permissions: HELD,
      suspended_at: github.suspended ? "2026-01-01T00:00:00Z" : null,
    });

  function makeToken(body: Readonly<Record<string, unknown>>): Reply {
    const permissions = (body["permissions"] ?? HELD) as Readonly<Record<string, string>>;
    if (Object.entries(permissions).some(([name, level]) => (RANK[level] ?? 9) > (RANK[HELD[name] ?? ""] ?? 0)))
      return error(422, "The permissions requested are not granted to this installation.");
    const named = [...((body["repositories"] ?? []) as string[]), ...((body["repository_ids"] ?? []) as number[])];
    const chosen = REPOSITORIES.filter(
      ({ id, name }) => named.length === 0 || named.some((one) => one === id || String(one).toLowerCase() === name),
    );
    if (named.length > 0 && chosen.length < named.length)
      return error(422, "There is at least one repository that does not exist or is not accessible to the parent installation.");
    const token = `ghs_${randomBytes(18).toString("hex")}`;
    const given = { ...permissions, metadata: "read" };
    tokens.set(token, { permissions: given, repositories: chosen, expiresAt: now() + HOUR_MS, revoked: false });
    const listed =
      answerSchema("/app/installations/{installation_id}/access_tokens", "post", "201").properties?.["repositories"]?.items ?? {};
    return {
      status: 201,
      body: {
        token,
        expires_at: new Date(now() + HOUR_MS).toISOString().replace(/\.\d+/, ""),
        permissions: given,
        repository_selection: named.length === 0 ? "all" : "selected",
        ...(named.length > 0 && { repositories: chosen.map((one) => sample(listed, { ...one, full_name: `acme/${one.name}` })) }),
      },
    };
  }

  async function answer(request: Asked): Promise<Reply> {
    const { method, path, bearer } = request;
    if (path === "/installation/token" && method === "DELETE") {
      const token = live(bearer);
      if (token === undefined) return error(401, "Bad credentials");
      token.revoked = true;
      return { status: 204, body: undefined };
    }
    if (path === "/installation/repositories") {
      const token = live(bearer);
      if (token === undefined) return error(401, "Bad credentials");
      const schema = answerSchema("/installation/repositories", "get", "200").properties?.["repositories"]?.items ?? {};
      const repositories = token.repositories.map((one) => sample(schema, { ...one, full_name: `acme/${one.name}` }));
      return { status: 200, body: { total_count: repositories.length, repositories } };
    }
    if (!(await isApp(bearer))) return error(401, "A JSON web token could not be decoded");
    if (path === "/app")
      return { status: 200, body: sample(answerSchema("/app", "get", "200"), { slug: "stint-test", name: "Stint test" }) };
    if (path === `/app/installations/${installationId}`) return { status: 200, body: installation() };
    if (["/orgs/acme/installation", "/users/octocat/installation", "/repos/acme/shop/installation"].includes(path))
      return { status: 200, body: installation() };
    if (path === `/app/installations/${installationId}/access_tokens`)
      return github.suspended ? error(403, "This installation has been suspended") : makeToken(request.body ?? {});
    return error(404, "Not Found");
  }

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await read(incoming);
    github.requests.push({ method: request.method, path: request.path, body: request.body });
    const misfit = wrongRequest(request.method, request.path, request.body);
    if (misfit !== undefined) github.wrong.push(misfit);
    const kind = request.path.endsWith("/access_tokens") ? "tokens" : request.path === "/installation/token" ? "revoke" : "installation";
    const planned = faults.find(({ path, left }) => path === kind && left > 0);
    if (planned !== undefined) planned.left -= 1;
    await go(planned?.fault, request, response);
  }

  async function go(fault: GitHubFault | undefined, request: Asked, response: ServerResponse): Promise<void> {
    if (fault?.how === "hang") return;
    if (fault?.how === "refuse") return void response.destroy();
    if (fault?.how === "answer")
      return send(response, { status: fault.status, body: fault.body ?? error(fault.status, "planned").body, headers: fault.headers });
    if (fault?.how === "text")
      return void response.writeHead(fault.status, { "content-type": "text/html", ...fault.headers }).end(fault.text);
    if (fault?.how === "wait") await fault.until;
    const reply = await answer(request);
    const misfit = wrongAnswer(request.method, request.path, reply.status, reply.body);
    if (misfit !== undefined) github.wrong.push(misfit);
    if (fault?.how === "lost") return void response.destroy();
    if (fault?.how === "half") {
      const text = JSON.stringify(reply.body ?? {});
      response.writeHead(reply.status, { "content-length": text.length }).write(text.slice(0, text.length / 2), () => response.destroy());
      return;
    }
    if (fault?.how === "huge") return flood(response.writeHead(reply.status));
    send(response, fault?.how === "lie" ? { ...reply, body: fault.change(reply.body as Readonly<Record<string, unknown>>) } : reply);
  }

  function send(response: ServerResponse, { status, body, headers = {} }: Reply): void {
    const { left, of, resetsAt } = github.quota;
    github.quota.left = Math.max(0, left - 1);
    const quota = { "x-ratelimit-limit": of, "x-ratelimit-remaining": github.quota.left, "x-ratelimit-reset": Math.ceil(resetsAt / 1000) };
    const text = body === undefined ? undefined : JSON.stringify(body);
    response.writeHead(status, { ...quota, ...(text !== undefined && { "content-type": "application/json" }), ...headers }).end(text);
  }

  const server = createServer((incoming, response) => void handle(incoming, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const github: FakeGitHub = {
    apiUrl,
    appId,
    clientId,
    installationId,
    privateKey: privateKey.export({ type: "pkcs1", format: "pem" }).toString(),
    requests: [],
    wrong: [],
    quota: { left: 5_000, of: 5_000, resetsAt: now() + HOUR_MS },
    suspended: false,
    alive: () => [...tokens.keys()].filter((token) => live(token) !== undefined),
    fail: (path, fault, times = 1) => void faults.push({ path, fault, left: times }),
    repositoriesOf: async (token) => {
      const answered = await fetch(`${apiUrl}/installation/repositories`, { headers: { authorization: `Bearer ${token}` } });
      const json = (await answered.json()) as { readonly repositories?: readonly Repository[] };
      return answered.status === 200 ? json.repositories?.map(({ name }) => name) : undefined;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
      if (github.wrong.length > 0) throw new Error(`not as GitHub's OpenAPI description says:\n${github.wrong.join("\n")}`);
    },
  };
  return github;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly bearer: string;
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

async function read(incoming: IncomingMessage): Promise<Asked> {
  let text = "";
  for await (const chunk of incoming) text += String(chunk);
  return {
    method: incoming.method ?? "",
    path: new URL(incoming.url ?? "/", "http://x").pathname,
    bearer: (incoming.headers.authorization ?? "").replace(/^Bearer /, ""),
    body: text === "" ? undefined : (JSON.parse(text) as Readonly<Record<string, unknown>>),
  };
}

/** 300 MB, as fast as they are taken. */
function flood(response: ServerResponse, left = 300): void {
  if (left === 0 || response.destroyed) return void response.end();
  response.write(Buffer.alloc(2 ** 20, 0x20), () => flood(response, left - 1));
}

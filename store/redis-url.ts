import { parseHostPort, type HostPort, type Parsed } from "../domain/host-port.ts";
import { Secret } from "../domain/secret.ts";
import type { RedisTarget } from "./redis-target.ts";

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;

/**
 * `redis://`, `rediss://` (TLS), `redis+sentinel://h1,h2,h3/master-name` or `redis+cluster://h1,h2,h3`; the last two with TLS as
 * `rediss+...`; `unix:/path` for a socket. Each host part may begin `user:password@`, and `?replicas=N` may end it. Read by hand: no URL
 * parser takes several hosts.
 */
export function parseRedisUrl(text: string): Parsed<RedisTarget> {
  if (text.startsWith("unix:/")) return { value: { kind: "socket", path: text.slice("unix:".length) } };
  const found = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^/]*)@)?([^/@?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (found === null) return { wrong: "it has none of these forms" };
  const [, scheme, kind, userinfo, hostText = "", path = "", query] = found;
  const access = readUserinfo(userinfo);
  if ("wrong" in access) return access;
  const hosts = readHosts(hostText, kind === "+sentinel" ? SENTINEL_PORT : REDIS_PORT);
  if ("wrong" in hosts) return hosts;
  const replicas = readReplicas(query);
  if ("wrong" in replicas) return replicas;
  const common = { ...access.value, tls: scheme === "rediss", replicas: replicas.value };
  if (kind === "+sentinel") {
    if (!/^[A-Za-z0-9._-]+$/.test(path)) return { wrong: "the master's name is missing or no name" };
    return { value: { kind: "sentinel", sentinels: hosts.value, name: path, ...common } };
  }
  if (kind === "+cluster") {
    if (path !== "" && path !== "0") return { wrong: "a Cluster has no other database than 0" };
    return { value: { kind: "cluster", nodes: hosts.value, ...common } };
  }
  const [at, ...others] = hosts.value;
  if (at === undefined || others.length > 0) return { wrong: "several hosts need redis+sentinel or redis+cluster" };
  if (!/^\d{0,4}$/.test(path)) return { wrong: "its path is no database number" };
  return { value: { kind: "single", at, db: Number(path), ...common } };
}

function readReplicas(query: string | undefined): Parsed<number | undefined> {
  if (query === undefined) return { value: undefined };
  const found = /^replicas=(\d)$/.exec(query);
  return found === null ? { wrong: "behind `?` only replicas=N may stand, with N from 0 to 9" } : { value: Number(found[1]) };
}

function readHosts(text: string, usualPort: number): Parsed<readonly HostPort[]> {
  const hosts: HostPort[] = [];
  for (const [index, part] of text.split(",").entries()) {
    const host = parseHostPort(part.trim(), usualPort);
    if ("wrong" in host) return { wrong: `host ${index + 1}: ${host.wrong}` };
    hosts.push(host.value);
  }
  return { value: hosts };
}

function readUserinfo(text: string | undefined): Parsed<{ readonly username: string | undefined; readonly password: Secret | undefined }> {
  if (text === undefined) return { value: { username: undefined, password: undefined } };
  const colon = text.indexOf(":");
  try {
    const username = decodeURIComponent(colon < 0 ? text : text.slice(0, colon));
    const password = colon < 0 ? "" : decodeURIComponent(text.slice(colon + 1));
    return { value: { username: username === "" ? undefined : username, password: password === "" ? undefined : new Secret(password) } };
  } catch {
    return { wrong: "its user or password is not percent-encoded properly" };
  }
}

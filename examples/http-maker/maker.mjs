// A maker of Redis users: what a broker asks for by HTTP becomes an ACL user that lives as long as its lease.
//
//   MAKER_KEY_FILE=maker.key REDIS_HOST=127.0.0.1 REDIS_PORT=6379 node maker.mjs
//
// Several of these may run beside each other: what must not be forgotten stands in Redis, and Redis itself refuses what comes too late.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRedis } from "./redis.mjs";
import { createVerifier } from "./verify.mjs";

const { MAKER_KEY_FILE, MAKER_PORT = "8999", MAKER_ORIGIN, REDIS_HOST = "127.0.0.1", REDIS_PORT = "6379", REDIS_PASSWORD } = process.env;
const key = readFileSync(MAKER_KEY_FILE, "utf8").trim();
const redis = createRedis({ host: REDIS_HOST, port: Number(REDIS_PORT), password: REDIS_PASSWORD });

/** What a grant may say as `role`. Rules never come from outside. */
const ROLES = {
  reader: ["~cache:*", "+@read", "+ping", "+auth"],
  writer: ["~cache:*", "+@read", "+@write", "+ping", "+auth"],
};
const MADE = "stint:made"; // lease -> broker
const gone = (lease) => `stint:gone:${lease}`;
/** Longer than any lease lives: a request for an ended lease that comes later than this is too old for its own signature. */
const TOMBSTONE_SECONDS = 2 * 86_400;
const LEASE = /^lease_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

async function create(order) {
  const rules = Object.hasOwn(ROLES, order.params.role) ? ROLES[order.params.role] : undefined;
  if (!LEASE.test(order.lease_id) || rules === undefined) return [422, { detail: "no such role" }];
  const lease = order.lease_id;
  const password = randomBytes(24).toString("base64url");
  const done = await redis.alone(async (send) => {
    await send("WATCH", gone(lease)); // whoever ends the lease from now on makes EXEC fail
    const [ended, made] = [await send("EXISTS", gone(lease)), await send("HEXISTS", MADE, lease)];
    if (ended === 1 || made === 1) {
      await send("UNWATCH");
      return ended === 1 ? "gone" : "made";
    }
    await send("MULTI");
    await send("ACL", "SETUSER", lease, "reset", "on", `>${password}`, ...rules);
    await send("HSET", MADE, lease, order.broker);
    return (await send("EXEC")) === null ? "busy" : "new";
  });
  if (done === "gone") return [410, { detail: "this lease has ended" }];
  if (done === "made") return [409, { detail: "this lease was made before; its password is known to nobody but its holder" }];
  if (done === "busy") return [503, { detail: "somebody else was faster" }];
  return [
    201,
    {
      lease_id: lease,
      credential: {
        kind: "redis_user",
        secret: { name: "password", value: password },
        facts: { host: REDIS_HOST, port: Number(REDIS_PORT), username: lease },
      },
    },
  ];
}

async function end(lease) {
  if (!LEASE.test(lease)) return [404];
  const dropped = await redis.alone(async (send) => {
    await send("SET", gone(lease), "1", "EX", TOMBSTONE_SECONDS); // first: nothing is made from here on
    const count = await send("ACL", "DELUSER", lease); // ends its connections, too
    await send("HDEL", MADE, lease);
    return count;
  });
  return [dropped === 1 ? 204 : 404];
}

async function list(query) {
  const [next, pairs] = await redis.alone((send) => send("HSCAN", MADE, /^\d{1,20}$/.test(query.get("cursor")) ? query.get("cursor") : "0", "COUNT", 100));
  const items = [];
  for (let at = 0; at < pairs.length; at += 2) items.push({ lease_id: pairs[at], broker: pairs[at + 1] });
  return [200, { items, next_cursor: next === "0" ? null : next }];
}

async function bodyOf(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > 65_536) throw new Error("too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function answer(request) {
  const body = await bodyOf(request);
  if (!isFromBroker(request, body)) return [401, { detail: "not signed by the broker" }];
  const { pathname, searchParams } = new URL(request.url, origin);
  const lease = /^\/credentials\/([^/]+)$/.exec(pathname)?.[1];
  if (request.method === "POST" && pathname === "/credentials") return create(JSON.parse(body));
  if (request.method === "GET" && pathname === "/credentials") return list(searchParams);
  if (request.method === "DELETE" && lease !== undefined) return end(lease);
  return [405, { detail: "not of the contract" }];
}

const server = createServer((request, response) => {
  answer(request)
    .catch(() => [503, { detail: "Redis did not answer" }])
    .then(([status, json]) => {
      response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(json === undefined ? undefined : JSON.stringify(json));
    });
});

let origin;
let isFromBroker;
server.listen(Number(MAKER_PORT), "127.0.0.1", () => {
  origin = MAKER_ORIGIN ?? `http://127.0.0.1:${server.address().port}`;
  isFromBroker = createVerifier({ key, origin });
  process.stdout.write(`maker at ${origin}\n`);
});

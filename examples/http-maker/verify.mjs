// Whether a request comes from the broker: HTTP Message Signatures (RFC 9421), hmac-sha256, once and within a minute.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const PARAMS = /^stint=(\((.+)\);created=(\d+);expires=(\d+);nonce="([\w-]{16,64})";keyid="[\w.-]+";alg="hmac-sha256";tag="stint-maker")$/;
const MUST = ["@method", "@target-uri", "content-digest"];

export function createVerifier({ key, origin, now = Date.now }) {
  const spent = new Map(); // nonce -> when its request is too old anyway
  return (request, body) => {
    const [, params, list = "", created, expires, nonce] = PARAMS.exec(request.headers["signature-input"] ?? "") ?? [];
    const names = list.split(" ").map((name) => name.slice(1, -1));
    if ("stint-handle" in request.headers && !names.includes("stint-handle")) return false;
    if (params === undefined || !MUST.every((name) => names.includes(name))) return false;
    const said = { ...request.headers, "@method": request.method, "@target-uri": origin + request.url };
    const base = [...names.map((name) => `"${name}": ${said[name]}`), `"@signature-params": ${params}`].join("\n");
    const good = createHmac("sha256", key).update(base).digest();
    const theirs = Buffer.from(/^stint=:(.+):$/.exec(request.headers["signature"] ?? "")?.[1] ?? "", "base64");
    if (theirs.length !== good.length || !timingSafeEqual(theirs, good)) return false;
    if (said["content-digest"] !== `sha-256=:${createHash("sha256").update(body).digest("base64")}:`) return false;
    if (created * 1000 > now() + 30_000 || expires * 1000 < now() - 30_000 || spent.has(nonce)) return false;
    for (const [old, until] of spent) if (until < now()) spent.delete(old);
    spent.set(nonce, expires * 1000 + 60_000);
    return true;
  };
}

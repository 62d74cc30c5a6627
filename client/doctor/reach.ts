import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP } from "node:net";
import { connect as connectTls, rootCertificates } from "node:tls";
import { formatDuration } from "../../domain/time.ts";
import { systemCode } from "../errors.ts";
import { bad, ok, warn, type Finding } from "./finding.ts";

export interface Way {
  /** Origin of the broker. */
  readonly url: string;
  /** Further authorities (PEM), where STINT_CA_FILE names some. */
  readonly caFile: string | undefined;
  readonly now: number;
  readonly timeoutMs: number;
}

/** Certificates that end within this are worth a word. */
const SOON_MS = 14 * 86_400_000;

/** The way to the broker, from the name to the certificate. Stops at the first step that fails: nothing behind it can be reached. */
export async function reach(way: Way): Promise<readonly Finding[]> {
  const { hostname, port, protocol } = new URL(way.url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const place = { host, port: Number(port || (protocol === "https:" ? 443 : 80)) };
  const found = [await named(host)];
  if (found[0]?.status !== "fail") found.push(await answers(place, way.timeoutMs));
  if (protocol === "https:" && found.every(({ status }) => status !== "fail")) found.push(await certified(place, way));
  return found;
}

async function named(host: string): Promise<Finding> {
  if (isIP(host) !== 0) return ok("dns", `${host} is an address: no name to look up`);
  try {
    const addresses = await lookup(host, { all: true });
    return ok("dns", `${host} is ${addresses.map(({ address }) => address).join(", ")}`);
  } catch (error) {
    return bad("dns", `${host} cannot be found (${systemCode(error) ?? "no answer"})`, {
      why: "This machine's resolver knows no such name.",
      next: "Is STINT_URL spelt right? If so, mend the resolver or the name's record.",
    });
  }
}

interface Place {
  readonly host: string;
  readonly port: number;
}

function answers({ host, port }: Place, timeoutMs: number): Promise<Finding> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port });
    const end = (finding: Finding): void => {
      socket.destroy();
      resolve(finding);
    };
    socket.setTimeout(timeoutMs, () => end(unanswered({ host, port }, "did not answer in time")));
    socket.once("error", (error) =>
      end(unanswered({ host, port }, systemCode(error) === "ECONNREFUSED" ? "refused the connection" : `failed (${systemCode(error)})`)),
    );
    socket.once("connect", () => end(ok("tcp", `${host}:${port} accepts connections`)));
  });
}

const unanswered = ({ host, port }: Place, how: string): Finding =>
  bad("tcp", `${host}:${port} ${how}`, {
    why: how.startsWith("refused")
      ? "The machine is there and nothing listens at that port."
      : "Something on the way drops the connection.",
    next: "Is the broker running, and does STINT_LISTEN name this port? Else look at the firewall, the proxy or the service before it.",
  });

/** Shakes hands without insisting, so that the certificate can be described also where it is refused. */
function certified({ host, port }: Place, { caFile, now, timeoutMs }: Way): Promise<Finding> {
  const ca = caFile === undefined ? [] : { ca: [...rootCertificates, readFileSync(caFile, "utf8")] };
  return new Promise((resolve) => {
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = connectTls({ host, port, ...name, ...ca, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    const end = (finding: Finding): void => {
      socket.destroy();
      resolve(finding);
    };
    const silent = bad("tls", "the handshake did not end in time", { next: "Is what listens there a TLS server?" });
    socket.setTimeout(timeoutMs, () => end(silent));
    socket.once("error", (error) =>
      end(
        bad("tls", `no TLS there (${systemCode(error) ?? "handshake failed"})`, {
          why: "STINT_URL says https and the listener does not speak it.",
          next: "Give the broker STINT_TLS_CERT_FILE and STINT_TLS_KEY_FILE, or end TLS before it.",
        }),
      ),
    );
    socket.once("secureConnect", () => {
      const endsAt = Date.parse(socket.getPeerCertificate().valid_to);
      end(judged(socket.authorizationError, endsAt, now, host));
    });
  });
}

const TRUST =
  "The chain does not end at an authority that this machine trusts: a self-signed certificate, or the server leaves out the intermediate.";
const DISTRUST: Readonly<Record<string, { readonly why: string; readonly next: string }>> = {
  CERT_HAS_EXPIRED: { why: "It is over.", next: "Renew it on the server and restart the broker or the proxy that holds it." },
  CERT_NOT_YET_VALID: { why: "It begins later, or this machine's clock is behind.", next: "Compare the clocks." },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    why: "It is for another name than STINT_URL has.",
    next: "Use the name that the certificate has, or have one made for this name.",
  },
};

function judged(error: Error | string | null | undefined, endsAt: number, now: number, host: string): Finding {
  if (error) {
    // typed as an error, a word in fact (tls.TLSSocket.authorizationError)
    const code = typeof error === "string" ? error : (systemCode(error) ?? error.message);
    const known = DISTRUST[code] ?? {
      why: TRUST,
      next: "Let the server send its whole chain, or set STINT_CA_FILE to the authority's file.",
    };
    return bad("tls", `the certificate of ${host} is refused (${code})`, known);
  }
  if (endsAt - now < SOON_MS)
    return warn("tls", `the certificate of ${host} ends in ${formatDuration(Math.floor((endsAt - now) / 3_600_000) * 3_600_000)}`, {
      next: "Renew it: no client reaches the broker after that.",
    });
  return ok("tls", `the certificate of ${host} is trusted, until ${new Date(endsAt).toISOString().slice(0, 10)}`);
}

import { bad, leftOut, ok, warn, type Finding } from "./finding.ts";

/** A resource server's answer, as far as it matters here. */
export interface Heard {
  readonly status: number;
  readonly challenge: string;
}

/** Asks an address with a token, or with none. Throws when no answer comes. */
export type Ask = (token?: string) => Promise<Heard>;

/** Whether a request without a token is refused, and how the client is told what is missing (RFC 6750 section 3, RFC 9728 section 5.1). */
export function judgeBare({ status, challenge }: Heard): readonly Finding[] {
  if (status >= 200 && status < 300)
    return [
      bad("no token", `it answers ${status} to whoever asks`, {
        why: "Nothing protects this address.",
        next: "Put protect() before it (docs/verify.md), or give an address that is protected.",
      }),
    ];
  if (status !== 401)
    return [
      bad("no token", `it answers ${status}, where 401 says that a token is missing`, {
        why: "A client cannot tell a missing token from a missing page or a server that is down.",
        next:
          status === 404 || status === 405 ? "Give an address that GET reaches." : "Answer 401 with WWW-Authenticate (RFC 6750 section 3).",
      }),
    ];
  const refused = ok("no token", "it answers 401");
  if (!/\b(?:Bearer|DPoP)\b/i.test(challenge))
    return [
      refused,
      bad("challenge", "its 401 has no WWW-Authenticate: Bearer", { next: "Name the scheme (RFC 6750 section 3): clients go by it." }),
    ];
  if (/\berror="/.test(challenge))
    return [
      refused,
      warn("challenge", "it says error= though no token came", {
        next: "Leave it out (RFC 6750 section 3.1): nothing was wrong with a token.",
      }),
    ];
  return [refused, ok("challenge", challenge)];
}

/** Too many requests, or too slow ones: whatever was sent with them. */
const NOT_OF_TOKENS: ReadonlySet<number> = new Set([408, 429]);

/** Whether a token that nobody may honour is refused, where a request without one is answered 401. */
export function judgeForged(name: string, { status, challenge }: Heard): Finding {
  if (status < 300)
    return bad("forged", `it honours ${name}`, {
      why: "Anybody can make such a token: this address is open.",
      next: "Verify signature, issuer, audience and times of every token, by stint/verify or a library that is told what to expect.",
    });
  if (status >= 500)
    return bad("forged", `it answers ${status} to ${name}`, {
      next: "A bad token is the client's mistake: answer 401. Its log says what broke.",
    });
  const invalid = /\berror="invalid_token"/.test(challenge);
  if (status > 401 && status < 500 && !invalid && !NOT_OF_TOKENS.has(status))
    return bad("forged", `it believes ${name}, and answers ${status} for another reason`, {
      why: "Without a token it says 401, so this one got past that: one that claims more, a scope for instance, may open it.",
      next: "Verify signature, issuer, audience and times before anything that a token says is looked at.",
    });
  if (status !== 401 && status !== 400)
    return warn("forged", `it answers ${status} to ${name}`, {
      next: 'Answer 401 with error="invalid_token", so that clients fetch a new one.',
    });
  if (!/\berror="invalid_(?:token|request)"/.test(challenge))
    return warn("forged", `it refuses ${name}, and does not say why`, { next: 'Say error="invalid_token" (RFC 6750 section 3.1).' });
  return ok("forged", `it refuses ${name}`);
}

/** Where RFC 9728 section 3.1 puts the document about a resource. */
export const metadataUrl = (resource: string): string => {
  const { origin, pathname } = new URL(resource);
  return `${origin}/.well-known/oauth-protected-resource${pathname === "/" ? "" : pathname}`;
};

/** The URL that a challenge names. */
export const namedMetadata = (challenge: string): string | undefined => /\bresource_metadata="([^"]+)"/.exec(challenge)?.[1];

/** What the document says, where there is one; and the audience it stands for. */
export function judgeMetadata(
  document: unknown,
  url: string,
  issuer: string,
): { readonly findings: readonly Finding[]; readonly audience?: string } {
  if (typeof document !== "object" || document === null || !("resource" in document) || typeof document.resource !== "string")
    return {
      findings: [
        leftOut(
          "metadata",
          "it publishes no document about itself (RFC 9728)",
          "resourceMetadataHandler() of stint/verify/express tells clients where tokens come from.",
        ),
      ],
    };
  const { resource } = document;
  const servers =
    "authorization_servers" in document && Array.isArray(document.authorization_servers) ? document.authorization_servers : [];
  const covers = url === resource || url.startsWith(resource.endsWith("/") ? resource : `${resource}/`);
  return {
    audience: resource,
    findings: [
      covers
        ? ok("metadata", `it calls itself ${resource}`)
        : bad("metadata", `it calls itself ${resource}, and was asked as ${url}`, {
            why: "A client must not believe a document of another resource (RFC 9728 section 3.3).",
            next: "Give the handler the URL that clients use, or the Verifier's audience if that is one.",
          }),
      servers.includes(issuer)
        ? ok("trusts", `it sends clients to ${issuer}`)
        : bad("trusts", `it sends clients to ${servers.map(String).join(", ") || "nobody"}, not to ${issuer}`, {
            next: "Give the verifier the broker's STINT_URL as its issuer, byte for byte.",
          }),
    ],
  };
}

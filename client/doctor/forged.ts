import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** Tokens that nobody may honour; each is wrong in one way and right in all others. */
export interface Forged {
  readonly name: string;
  readonly token: string;
}

/** Of whom the tokens pretend to be. Times are in milliseconds. */
export interface Pretence {
  readonly issuer: string;
  readonly audience: string;
  /** A key of the issuer's, by name. */
  readonly kid: string | undefined;
  readonly now: number;
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** What every resource server has to refuse (RFC 8725 section 3, RFC 9068 section 4). */
export function forgedTokens({ issuer, audience, kid, now }: Pretence): readonly Forged[] {
  const at = Math.floor(now / 1000);
  const whose = { iss: issuer, aud: audience, sub: "stint-doctor", client_id: "stint-doctor", scope: "", grant: "stint-doctor" };
  const claims = (from: number, to: number): object => ({
    ...whose,
    lease_id: "lease_00000000000000000000000000",
    jti: randomBytes(12).toString("hex"),
    iat: at + from,
    nbf: at + from,
    exp: at + to,
  });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const header = { typ: "at+jwt", ...(kid === undefined ? {} : { kid }) };
  const signed = (body: object): string => {
    const input = `${part({ alg: "ES256", ...header })}.${part(body)}`;
    return `${input}.${sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  return [
    { name: "no token at all, only a word", token: "stint-doctor" },
    { name: "an unsigned token (alg none)", token: `${part({ alg: "none", ...header })}.${part(claims(-10, 300))}.` },
    { name: "a token that somebody else signed", token: signed(claims(-10, 300)) },
    { name: "a token somebody else signed that is over", token: signed(claims(-7_200, -3_600)) },
  ];
}

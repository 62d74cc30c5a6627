import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

const derive = promisify(pbkdf2);
/** RFC 7677 section 4 asks for at least this many. Our passwords hold 256 random bits, which no number of rounds could better. */
const ITERATIONS = 4096;

/** 256 random bits in 43 characters that need no quoting anywhere, so that SASLprep changes nothing. */
export const newPassword = (): string => randomBytes(32).toString("base64url");

/**
 * What a Postgres server stores instead of the password (RFC 5803, `SCRAM-SHA-256$rounds:salt$StoredKey:ServerKey`). Given this
 * in `PASSWORD`, the server never sees the password, nor does its log. `password` is printable ASCII.
 */
export async function scramVerifier(password: string, salt: Buffer = randomBytes(16), iterations = ITERATIONS): Promise<string> {
  const salted = await derive(password, salt, iterations, 32, "sha256");
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  const storedKey = createHash("sha256").update(clientKey).digest("base64");
  const serverKey = createHmac("sha256", salted).update("Server Key").digest("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}

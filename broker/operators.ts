import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { StintError, type Problem } from "../domain/errors.ts";
import { Secret } from "../domain/secret.ts";
import { type Operator, type Origin, type Role, ROLES } from "./callers.ts";

export interface OperatorService {
  /** The operator whose token this is (constant-time); undefined for anything else. */
  authenticate(token: Secret): Operator | undefined;
  /** Whether the role reaches: viewer < approver < responder < admin. Throws `insufficient_role`, and records it. */
  require(operator: Operator, role: Role, origin: Origin): void;
}

interface Entry extends Operator {
  readonly digest: Buffer;
}

const NAME = /^[a-z0-9][a-z0-9._@-]{0,62}$/;
const RANK: Readonly<Record<Role, number>> = { viewer: 0, approver: 1, responder: 2, admin: 3 };
const isRole = (text: string): text is Role => (ROLES as readonly string[]).includes(text);

/**
 * Reads an operator tokens file: lines `name role sha256:<hex>`, `#` begins a comment. A name may stand twice, for rotation, with
 * one role. Every mistake is reported, none with its hash.
 */
export function parseOperators(text: string, file: string): { readonly entries: readonly Entry[]; readonly problems: readonly Problem[] } {
  const entries: Entry[] = [];
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*$/, "").trim();
    if (line === "") continue;
    const wrong = (message: string): void =>
      void problems.push({ file, line: index + 1, severity: "error", message, help: "expected: name role sha256:<64 hex digits>" });
    const [name = "", role = "", key = "", ...rest] = line.split(/\s+/);
    const digest = /^sha256:([0-9a-f]{64})$/.exec(key)?.[1];
    const known = entries.find((entry) => entry.name === name);
    if (!NAME.test(name)) wrong("an operator's name is made of lower-case letters, digits and . _ @ -");
    else if (!isRole(role)) wrong(`unknown role; one of ${ROLES.join(", ")}`);
    else if (digest === undefined || rest.length > 0) wrong(`the key of ${name} is not sha256: and 64 hex digits`);
    else if (known !== undefined && known.role !== role) wrong(`${name} stands here with two roles`);
    else if (seen.has(digest)) wrong(`the key of ${name} stands here twice`);
    else {
      seen.add(digest);
      entries.push({ name, role, digest: Buffer.from(digest, "hex") });
    }
  }
  return { entries, problems };
}

/** A new operator token (256 random bits) and the line that admits it. */
export function newOperatorToken(name: string, role: Role): { readonly token: Secret; readonly line: string } {
  const token = `stint_op_${randomBytes(32).toString("base64url")}`;
  return { token: new Secret(token), line: `${name} ${role} sha256:${hash("sha256", token, "hex")}` };
}

/** The operators in force. `replace` swaps all of them at once, or says what is wrong and keeps those it had. */
export interface Operators extends OperatorService {
  replace(text: string, file: string): readonly Problem[];
  readonly size: number;
}

/** `refused` is told of every operator who asked for more than the role allows. */
export function createOperators(refused: (operator: Operator, role: Role, origin: Origin) => void): Operators {
  let entries: readonly Entry[] = [];
  return {
    get size() {
      return entries.length;
    },
    replace(text, file) {
      const read = parseOperators(text, file);
      if (read.problems.length === 0) entries = read.entries;
      return read.problems;
    },
    authenticate(token) {
      const digest = Buffer.from(hash("sha256", token.reveal(), "hex"), "hex");
      let found: Entry | undefined;
      // All are compared, so that the time taken does not tell how far down the list a token stands.
      for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry;
      return found === undefined ? undefined : { name: found.name, role: found.role };
    },
    require(operator, role, origin) {
      if (RANK[operator.role] >= RANK[role]) return;
      refused(operator, role, origin);
      throw new StintError("insufficient_role", `this needs the role ${role}; ${operator.name} has the role ${operator.role}`);
    },
  };
}

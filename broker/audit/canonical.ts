import { hash } from "node:crypto";
import { canonicalize } from "json-canonicalize";

/** JSON in its one canonical spelling (RFC 8785): same record, same bytes, same hash. One line, for newlines are escaped in JSON. */
export const canonical = (value: unknown): string => canonicalize(value);

/** SHA-256 of a line's bytes, without its newline; hex. What was read from a file is hashed as it lies there, not as it was decoded. */
export const lineHash = (line: string | Buffer): string => hash("sha256", line, "hex");

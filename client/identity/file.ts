import { readFile } from "node:fs/promises";
import { systemCode } from "../errors.ts";
import { noIdentity, type Identity } from "./source.ts";

/** Evidence in a file, read anew each time: platforms rotate it in place. */
export function fromFile(path: string, source: string): Identity {
  return {
    source,
    async token() {
      try {
        return await readFile(path, "utf8");
      } catch (error) {
        const code = systemCode(error) ?? "unreadable";
        throw noIdentity(`${source}: ${path} cannot be read (${code})`, "It must name a file that holds a token for the broker.", error);
      }
    },
  };
}

import { writeFile } from "node:fs/promises";
import { policySchema } from "../broker/policy/schema.ts";

/** Writes `schema/stint.v1.json` from the code. A spec fails while the two differ. */
await writeFile(new URL(import.meta.url.includes("/dist/") ? "../../schema/stint.v1.json" : "../schema/stint.v1.json", import.meta.url), `${JSON.stringify(policySchema(), null, 2)}\n`);

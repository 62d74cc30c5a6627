/** A broker's exporter in a process of its own, to be killed: `node export-child.js <redis url> <dir> <key, PKCS #8 PEM> <stop>`. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { AuditExporter } from "../../broker/audit/exporter.ts";
import { systemClock } from "../../domain/time.ts";
import type { AuditStream } from "../../store/api.ts";
import { openStore } from "../../store/open.ts";
import { storeClock } from "./orders.ts";

const [, , url = "", dir = "", pem = "", stop = ""] = process.argv;
const store = await openStore({ url, clock: storeClock(systemClock) });
const privateKey = createPrivateKey(pem);
const publicKey = createPublicKey(privateKey);
/** Says that it has come to the point, and never comes back: whoever reads this kills us there. */
const halt = (): Promise<never> => {
  process.stdout.write("here\n");
  return new Promise(() => setInterval(() => undefined, 1000));
};
const stream: AuditStream = stop === "trim" ? { ...store.audit, trim: halt } : store.audit;
const checkpointKey = stop === "checkpoint" ? halt : async () => ({ privateKey, publicKey });
const exporter = new AuditExporter({
  stream,
  dir,
  url: "https://stint.acme.dev",
  storeId: store.id,
  holder: "child",
  clock: systemClock,
  keys: { checkpointKey, checkpointKeys: async () => [{ publicKey }] },
  ...(stop === "sync" && { writer: { append: (handle, data) => handle.appendFile(data.subarray(0, data.length - 30)), sync: halt } }),
});
await exporter.round();

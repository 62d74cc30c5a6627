import type { TargetStore } from "../../store/api.ts";
import type { SealedRecords } from "../../store/reseal.ts";
import { placeSealedAs, sealedAs } from "./ports.ts";

/** The sealed secrets of every target, also of targets that the policy no longer has. */
export const targetSecrets = (records: TargetStore): SealedRecords => ({
  purpose: "target-secret",
  async page() {
    const secrets = await records.secrets(await records.names());
    return { items: secrets.map(({ target, name, sealed }) => ({ recordId: sealedAs(target, name), sealed })), nextCursor: undefined };
  },
  async replace(recordId, from, to) {
    const { target, name } = placeSealedAs(recordId);
    return (await records.swapSecret(target, name, from, to)) === "swapped" ? "replaced" : "changed";
  },
});

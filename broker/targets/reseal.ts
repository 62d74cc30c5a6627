import type { TargetStore } from "../../store/api.ts";
import type { Sealer } from "../../store/sealing.ts";
import { describe } from "../background.ts";
import type { Log } from "../parts.ts";
import { sealedAs } from "./ports.ts";

/** Seals every secret of every target anew under the first master key, also of targets that the policy no longer has. How many. */
export async function resealTargets(records: TargetStore, sealer: Sealer, log: Log): Promise<number> {
  let resealed = 0;
  for (const { target, name, sealed } of await records.secrets(await records.names())) {
    if (!sealer.needsReseal(sealed)) continue;
    try {
      const plain = sealer.open("target-secret", sealedAs(target, name), sealed);
      const again = sealer.seal("target-secret", sealedAs(target, name), plain);
      if ((await records.swapSecret(target, name, sealed, again)) === "swapped") resealed += 1;
    } catch (error) {
      // one that cannot be opened must not keep all others under the old key
      log.warn({ target, secret: name, error: describe(error) }, "a target's secret that no master key opens: keep the old key");
    }
  }
  return resealed;
}

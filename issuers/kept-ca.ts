import { RetryableFailure } from "../domain/credential.ts";
import { Secret } from "../domain/secret.ts";
import type { TargetVault } from "../domain/target.ts";

/** The vault's name for the CAs that we make ourselves. */
const VAULT_NAME = "ca";
/** Each try loses only to a broker that was faster, and then mostly finds its work done. */
const TRIES = 8;

/**
 * Writes down what `step` makes of the CAs that the vault holds (undefined: none yet), where its `text` is another. A broker that was
 * faster is heard: `step` is asked again. Answers what `step` last said. Throws `RetryableFailure` where others never stop.
 */
export async function changeKeptCa<T extends { readonly text: string | undefined }>(
  vault: TargetVault,
  step: (held: string | undefined) => Promise<T>,
): Promise<T> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const held = await vault.read(VAULT_NAME);
    const made = await step(held?.reveal());
    const { text } = made;
    if (text === undefined || text === held?.reveal() || (await vault.swap(VAULT_NAME, held, new Secret(text)))) return made;
  }
  throw new RetryableFailure("other brokers keep changing this target's CA; try again");
}

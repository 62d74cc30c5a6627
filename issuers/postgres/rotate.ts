import { escapeLiteral } from "pg";
import { instant } from "./fence.ts";
import { tryPassword } from "./login.ts";
import { scramVerifier } from "./scram.ts";
import type { Site } from "./site.ts";

/**
 * Changes our own role's password. The server is given its verifier only, and does nothing when the statement reaches it so late
 * that nobody remembers that password any more.
 */
export async function rotatePassword(site: Site, signal: AbortSignal): Promise<void> {
  const doing = "our password could not be changed";
  await site.account.rotate(
    async (password, notAfter) => {
      const verifier = await scramVerifier(password);
      await site.look(doing, signal, async (client) => {
        // a division by zero undoes the whole message, which is one transaction
        await client.query(
          `SELECT 1 / (clock_timestamp() <= ${instant(notAfter)})::int;\nALTER ROLE CURRENT_USER PASSWORD ${escapeLiteral(verifier)}`,
        );
      });
    },
    (password) => tryPassword(site.settings, site.ports, password, signal),
  );
}

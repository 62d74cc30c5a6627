import { Client, escapeLiteral } from "pg";
import type { PostgresTarget } from "../../test/support/postgres-target.ts";

interface Said {
  readonly text: string;
  readonly values: readonly unknown[];
}

/**
 * The statements of one lease, made and ended, as a script for pgbench: listened to while our issuer says them, so that they are the
 * same and stay the same. Each run of the script is another lease.
 */
export async function leaseStatements(target: PostgresTarget): Promise<string> {
  const warm = target.order({}, {});
  await target.issuer.issue(warm, AbortSignal.timeout(10_000));
  await target.issuer.revoke({ leaseId: warm.leaseId, handle: undefined, expiresAt: 0 }, AbortSignal.timeout(10_000));
  const order = target.order({}, {});
  const said = await listening(async () => {
    await target.issuer.issue(order, AbortSignal.timeout(10_000));
    await target.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: 0 }, AbortSignal.timeout(10_000));
  });
  if (!said.some(({ text }) => text.includes("CREATE ROLE")) || !said.some(({ text }) => text.includes("DROP ROLE")))
    throw new Error("the issuer's statements were not heard");
  const lines = said.map(({ text, values }) => inlined(text, values).replaceAll(order.leaseId, "lease_:id").replaceAll(";\n", " \\;\n"));
  return `\\set id random(1, 9000000000000000)\n${lines.map((line) => `${line};`).join("\n")}\n`;
}

async function listening(work: () => Promise<void>): Promise<readonly Said[]> {
  const said: Said[] = [];
  const original = Reflect.get(Client.prototype, "query") as (this: Client, ...given: unknown[]) => unknown;
  Reflect.set(Client.prototype, "query", function (this: Client, ...given: unknown[]): unknown {
    const [first, values] = given;
    const asked = typeof first === "string" ? { text: first, values } : (first as { readonly text: string; readonly values?: unknown });
    said.push({ text: asked.text, values: Array.isArray(asked.values) ? asked.values : [] });
    return original.apply(this, given);
  });
  try {
    await work();
  } finally {
    Reflect.set(Client.prototype, "query", original);
  }
  return said;
}

/** pgbench has no parameters in its simple protocol: they stand in the text. */
const inlined = (text: string, values: readonly unknown[]): string =>
  // a verifier has dollars of its own
  values.length === 0
    ? text
    : text.replaceAll(/\$(\d+)/g, (_, number: string) => {
        const value = values[Number(number) - 1];
        return escapeLiteral(Array.isArray(value) ? `{${value.join(",")}}` : String(value));
      });

import { hash } from "node:crypto";
import { StintError } from "../../domain/errors.ts";
import type { IdempotencyHint, Operator, Origin } from "../callers.ts";
import type { Parts } from "../parts.ts";

interface Asked {
  readonly idempotency?: IdempotencyHint | undefined;
  readonly operator: Operator;
  readonly origin: Origin;
}

/**
 * Makes a thing once for an operator's `Idempotency-Key`: asked again, `recall` reads what was made from what `remember` wrote of it.
 * A request that failed lets go of the key, but one that has begun something (`remember` knows it from the error) keeps it.
 */
export async function once<T>(
  parts: Pick<Parts, "store">,
  { idempotency, operator, origin }: Asked,
  what: {
    readonly make: () => Promise<T>;
    readonly remember: (made: T | StintError) => string | undefined;
    readonly recall: (answer: string) => Promise<T>;
  },
): Promise<T> {
  if (idempotency === undefined) return what.make();
  const scoped = ["operator", operator.name, origin.route, idempotency.key].join("\u0000");
  const key = { key: hash("sha256", scoped, "hex"), body: idempotency.bodySha256 };
  const before = await parts.store.answers.claim(key);
  switch (before.outcome) {
    case "answered":
      return what.recall(before.answer);
    case "in_flight":
      throw new StintError("in_flight", "the first request with this idempotency key is still being answered");
    case "other_body":
      throw new StintError("idempotency_mismatch", "this idempotency key was used for a different request");
    case "first":
      break;
  }
  try {
    const made = await what.make();
    await parts.store.answers.keep(key, what.remember(made));
    return made;
  } catch (error) {
    const begun = error instanceof StintError ? what.remember(error) : undefined;
    await parts.store.answers.keep(key, begun).catch(() => undefined);
    throw error;
  }
}

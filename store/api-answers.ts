/** Idempotency keys of requests that open no lease and no task. */
import type { Idempotency } from "./api-leases.ts";

export interface AnswerStore {
  /** `first`: the key is the caller's for half a minute, until it keeps an answer. */
  claim(
    idempotency: Idempotency,
  ): Promise<{ readonly outcome: "first" | "in_flight" | "other_body" } | { readonly outcome: "answered"; readonly answer: string }>;
  /** Keeps the answer for 24 hours; undefined lets go of the key. Never a secret. */
  keep(idempotency: Idempotency, answer: string | undefined): Promise<void>;
}

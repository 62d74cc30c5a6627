import { randomUUID } from "node:crypto";
import { bucketOfSubject } from "../domain/ids.ts";
import type { AnswerStore } from "./api.ts";
import { texts, type Runner } from "./run.ts";

/** What idempotency keys of operators stood for. Written also when memory is full: it stands beside revocations. */
export function createAnswerStore(runner: Runner): AnswerStore {
  return {
    async claim({ key, body }) {
      const reply = texts(await runner.run("claim-answer", bucketOfSubject(key), { key, body, holder: randomUUID() }));
      if (reply[0] === "answered") return { outcome: "answered", answer: reply[1] ?? "" };
      return { outcome: reply[0] === "first" ? "first" : reply[0] === "other_body" ? "other_body" : "in_flight" };
    },
    async keep({ key, body }, answer) {
      await runner.run("keep-answer", bucketOfSubject(key), { key, body, answer: answer ?? "" });
    },
  };
}

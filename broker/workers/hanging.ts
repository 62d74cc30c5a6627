import type { Member } from "./member.ts";

const ASK_MS = 5_000;
/** After so many questions without an answer a worker hangs, and is replaced. */
const UNANSWERED = 6;

/** Kills those that hang. Counted in questions, not in time: after a suspended machine nobody is blamed for the pause. */
export function killHanging(serving: () => readonly Member[]): NodeJS.Timeout {
  return setInterval(() => {
    for (const member of serving()) {
      if (member.unanswered >= UNANSWERED) member.worker.process.kill("SIGKILL");
      member.unanswered += 1;
      member.say({ say: "alive?" });
    }
  }, ASK_MS);
}

/** One thing worth knowing, as data: `event` is constant, the rest depends on it. Never holds a token or a key. */
export interface VerifierLogEntry {
  readonly level: "info" | "warn";
  readonly event:
    | "feed_connected"
    | "feed_lost"
    | "feed_refused"
    | "feed_reset"
    | "feed_overflow"
    | "fresh"
    | "stale"
    | "keys_read"
    | "keys_failed"
    | "refused"
    | "query_token"
    | "reports_failed"
    | "status_list_failed"
    | "acknowledgement_failed";
  readonly message: string;
  readonly reason?: string;
  readonly lease?: string | undefined;
}

export type VerifierLog = (entry: VerifierLogEntry) => void;

/** Without a log of one's own, what must not go unseen goes to the console; refusals of single tokens do not. */
export const consoleLog: VerifierLog = ({ level, event, message }) => {
  // oxlint-disable-next-line eslint/no-console -- a verifier that denies everything and says nothing would be worse
  if (level === "warn" && event !== "refused") console.warn(`stint/verify: ${message}`);
};

/** A log that throws must not change what is decided. */
export function guarded(log: VerifierLog): VerifierLog {
  return (entry) => {
    try {
      log(entry);
    } catch {
      // its owner's business
    }
  };
}

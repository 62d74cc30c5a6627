import type { AuditService } from "./audit/api.ts";
import type { WitnessFiles } from "./hold.ts";

/** The audit files, as the broker uses them: they are written, searched, and bear witness of the store. */
export interface AuditTrail extends AuditService, WitnessFiles {
  /** Moves what waits in the store into the files; nothing while another broker does. When the signal aborts, that goes on unwaited for. */
  exportWaiting(signal: AbortSignal): Promise<void>;
  /** False after a failed append, or while records wait for longer than a minute: then nothing is issued. */
  healthy(): boolean;
  close(): Promise<void>;
}

import type { PublishedDocument } from "../../domain/credential.ts";

/** Places at which credentials are made. */
export interface TargetService {
  /** What a target publishes under that name. Throws `not_found`. */
  document(target: string, name: string): Promise<{ readonly body: Uint8Array } & Pick<PublishedDocument, "contentType" | "maxAge">>;
}

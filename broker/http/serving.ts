import type { IncomingMessage, ServerResponse } from "node:http";
import type { ClientAddress } from "./client-address.ts";
import type { ClientCertificate } from "./client-certificate.ts";
import type { House } from "./route.ts";
import type { Send } from "./send.ts";
import type { Served } from "./served.ts";

/** What every route is served with. */
export interface ServeOptions {
  readonly house: House;
  readonly addressOf: ClientAddress;
  readonly certificateOf: ClientCertificate;
  readonly fromProxy: (request: IncomingMessage) => boolean;
  readonly send: Send;
  /** Called once for every request, after its answer. */
  readonly served: (what: Served) => void;
}

/** An express handler that needs no `next`. */
export type Serve = (
  request: IncomingMessage & { readonly params?: unknown; readonly originalUrl?: string },
  response: ServerResponse,
) => void;

import type { HostPort } from "../domain/host-port.ts";
import type { Secret } from "../domain/secret.ts";

interface Access {
  readonly username: string | undefined;
  readonly password: Secret | undefined;
  readonly tls: boolean;
  /** `?replicas=N`: how many replicas must have a write before it is answered; undefined: found out. */
  readonly replicas: number | undefined;
}

/** Which Redis to connect to, in each of its shapes. `socket` is the embedded one, once it runs. */
export type RedisTarget =
  | { readonly kind: "socket"; readonly path: string }
  | ({ readonly kind: "single"; readonly at: HostPort; readonly db: number } & Access)
  | ({ readonly kind: "sentinel"; readonly sentinels: readonly HostPort[]; readonly name: string } & Access)
  | ({ readonly kind: "cluster"; readonly nodes: readonly HostPort[] } & Access);

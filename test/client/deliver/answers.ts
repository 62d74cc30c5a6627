import type { CredentialView } from "../../../domain/wire.ts";
import { LATER, LEASE, TASK } from "../toy-broker.ts";

/** One credential of each kind, as a broker answers. */
export const MATERIALS = {
  jwt: { type: "jwt", token: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl" },
  postgres: {
    type: "postgres",
    host: "127.0.0.1",
    port: 5432,
    database: "shop",
    username: "lease_01jd0000000000000000000002",
    password: "s3cret:with\\all' sorts",
    sslmode: "disable",
  },
  github: {
    type: "github_token",
    token: "ghs_0123456789abcdefghij0123456789abcdef",
    repositories: ["shop"],
    permissions: { contents: "read" },
    api_url: "https://api.github.com",
  },
  rabbit: { type: "rabbitmq", host: "mq.example.com", username: "u-17", password: "pa55-of-the-maker", vhost: "/" },
} as const;

export const answerOf = (credential: object, more: Partial<CredentialView> = {}): CredentialView => ({
  lease_id: LEASE,
  task_id: TASK,
  grant: "orders-db",
  issuer: "orders",
  credential: { type: "unknown", ...credential },
  expires_at: LATER,
  limited_by: "grant",
  revocation: "immediate",
  dead_by: LATER,
  ...more,
});

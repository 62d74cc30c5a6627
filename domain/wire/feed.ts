import { z } from "zod";
import { WireLeaseId, WireName, WireTime, pageOf } from "./common.ts";

/** A verifier that says nothing of its own limit is taken to deny after this many seconds without news. */
export const DEFAULT_MAX_STALENESS_SECONDS = 15;

/** Names one running instance of a verifier; two that share a name hide each other. */
export const WireInstance = z
  .string()
  .regex(/^[A-Za-z0-9._:@-]{1,128}$/, "expected a name: letters, digits and . _ : @ -, 128 at most")
  .meta({ id: "Instance", description: "Names one running instance of a verifier; unique among its instances." });
const maxStaleness = { min: 1, max: 86_400 } as const;
const position = z
  .string()
  .max(4096)
  .regex(/^[A-Za-z0-9_-]+$/, "expected a position as the feed gave it");

/** GET /v1/feed. */
export const FeedQuery = z.strictObject({
  instance: WireInstance,
  max_staleness: z.coerce.number().min(maxStaleness.min).max(maxStaleness.max).optional().meta({ description: "Seconds; 15 unless said." }),
  position: position.optional().meta({ description: "Where to go on; the header Last-Event-ID says the same." }),
});
export type FeedQuery = z.infer<typeof FeedQuery>;

/** POST /v1/feed/seen: what an instance has applied, every 5 s and at once after a revocation. */
export const SeenBody = z
  .strictObject({
    instance: WireInstance,
    position,
    max_staleness: z.number().min(maxStaleness.min).max(maxStaleness.max).optional(),
    applied_at: z
      .int()
      .nonnegative()
      .optional()
      .meta({ description: "Milliseconds by the verifier's clock; for people, nothing rests on it." }),
  })
  .meta({ id: "FeedSeen" });
export type SeenBody = z.infer<typeof SeenBody>;

/** A report holds at most this many uses; it must fit into a body of 64 KiB. */
export const MAX_USES = 200;
/** Honoured; refused because the lease had ended; or refused for another reason. */
export const USE_OUTCOMES = ["accepted", "ended", "refused"] as const;

/** POST /v1/feed/used: tokens that an instance met. Uses of one lease that are alike may be told as one, the last of them with a count. */
export const UsedBody = z
  .strictObject({
    instance: WireInstance,
    uses: z
      .array(
        z.strictObject({
          lease: WireLeaseId,
          at: z.int().nonnegative().meta({ description: "Of the last of them, milliseconds by the verifier's clock." }),
          outcome: z.enum(USE_OUTCOMES),
          count: z.int().min(1).max(1_000_000).optional(),
          source: z
            .string()
            .regex(/^[0-9A-Fa-f.:]{2,45}$/, "expected an IP address")
            .optional()
            .meta({ description: "Where the request came from." }),
          route: z.string().min(1).max(256).optional(),
        }),
      )
      .min(1)
      .max(MAX_USES),
  })
  .meta({ id: "FeedUsed" });
export type UsedBody = z.infer<typeof UsedBody>;

/** A Verifier document and those of its instances that were heard of lately. */
export const VerifierView = z
  .strictObject({
    name: WireName,
    audience: z.string(),
    checks: z.enum(["feed", "introspection", "status_list", "none"]),
    instances: z.array(
      z.strictObject({
        instance: z.string(),
        last_seen_at: WireTime,
        max_staleness: z.number().meta({ description: "Seconds without news after which it denies." }),
        acknowledged_at: WireTime.nullable().meta({ description: "When it first said that it had applied its position." }),
        as_of: WireTime.nullable().meta({ description: "It has applied everything that ended up to this instant." }),
        behind_seconds: z.number().nullable().meta({ description: "How old that is. Null when it has acknowledged nothing." }),
        stale: z.boolean().meta({ description: "By its own limit it should be denying now." }),
      }),
    ),
  })
  .meta({ id: "Verifier" });
export type VerifierView = z.infer<typeof VerifierView>;
export const VerifierPage = pageOf(VerifierView, "VerifierPage");
export type VerifierPage = z.infer<typeof VerifierPage>;

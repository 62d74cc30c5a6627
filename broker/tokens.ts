import { hash } from "node:crypto";
import { leaseIdOfHash, readOwnToken } from "./leases/own-token.ts";
import { endLiveLease } from "./leases/service.ts";
import type { Parts } from "./parts.ts";
import { endTask, revokeWithin } from "./tasks/end.ts";
import type { TaskTokens } from "./tasks/token.ts";
import type { Introspection, IntrospectionService, TokenService } from "./tokens/api.ts";

const INACTIVE: Introspection = { active: false };

/** RFC 7662. Signature, end, audience, then the lease: cheap and certain refusals come before the store is asked. */
export function createIntrospection(parts: Parts): IntrospectionService {
  return {
    async check(token, verifier) {
      const own = await readOwnToken(parts, token);
      if (own === undefined || own.expiresAt <= parts.now() || !own.audiences.includes(verifier.audience)) return INACTIVE;
      if (!(await parts.store.leases.isLive(own.leaseId, own.kid))) return INACTIVE;
      return {
        active: true,
        tokenType: own.isAccessToken ? (isProofBound(own.claims["cnf"]) ? "DPoP" : "Bearer") : "N_A",
        claims: own.claims,
      };
    },
  };
}

/** RFC 9449 section 6.2: a token bound to a DPoP key is not to be taken as a bearer token. */
const isProofBound = (cnf: unknown): boolean => typeof cnf === "object" && cnf !== null && "jkt" in cnf;

/** RFC 7009: whoever holds a token may end what it stands for. What is unknown or over is nothing to do. */
export function createTokens(parts: Parts, tokens: TaskTokens): TokenService {
  return {
    async revoke(token, origin) {
      const holder = await tokens.verifyEnded(token);
      if (holder !== undefined) {
        const ending = await endTask(parts, holder.taskId, "released", undefined, { principal: holder.principal.subject, origin });
        await revokeWithin(parts, ending?.revoking ?? []);
        return;
      }
      const own = await readOwnToken(parts, token);
      if (own !== undefined) {
        await endLiveLease(parts, own.leaseId, "released", { principal: String(own.claims["sub"]), origin });
        return;
      }
      const leaseId = await leaseIdOfHash(parts, hash("sha256", token.reveal(), "hex"));
      const lease = leaseId === undefined ? undefined : await parts.store.leases.get(leaseId);
      if (lease !== undefined) await endLiveLease(parts, lease.id, "released", { principal: lease.subject, origin });
    },
  };
}

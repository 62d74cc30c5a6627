import type { TaskRef } from "../store/api.ts";
import type { Principal } from "../domain/principal.ts";
import type { Identify } from "./identify.ts";
import type { RequestService } from "./leases/api.ts";
import { issue } from "./leases/issue.ts";
import type { Parts } from "./parts.ts";
import type { TaskTokens } from "./tasks/token.ts";

/** The task that a request belongs to: a task token's own, the one its evidence names, or one of its own. */
export function taskRefOf(principal: Principal): TaskRef {
  if (principal.taskId !== undefined) return { kind: "task", id: principal.taskId };
  return principal.taskValue === undefined ? { kind: "own" } : { kind: "implicit", value: principal.taskValue };
}

export function createRequests(parts: Parts, identify: Identify, taskTokens: TaskTokens): RequestService {
  return {
    async exchange(request) {
      parts.gate.require();
      const { principal, evidenceEndsAt, parent } = await identify.any(request.evidence, request.origin, request.bind);
      const { audiences, idempotency, origin } = request;
      const issued = await issue(parts, {
        principal,
        request,
        audiences,
        task: taskRefOf(principal),
        parent,
        evidenceEndsAt,
        idempotency,
        bearerOnly: true,
        tokenType: request.tokenType,
        origin,
      });
      return { ...issued, taskToken: await taskTokens.sign(issued.task, principal) };
    },
  };
}

import { StintError } from "../../domain/errors.ts";
import type { TargetService } from "./api.ts";
import type { IssuerRegistry } from "./registry.ts";

export function createTargets(registry: IssuerRegistry): TargetService {
  return {
    async document(target, name) {
      const documents = registry.targets().get(target)?.issuer.documents ?? {};
      const found = Object.hasOwn(documents, name) ? documents[name] : undefined;
      if (found === undefined) throw new StintError("not_found", "there is no such document here");
      return { body: await found.read(), contentType: found.contentType, maxAge: found.maxAge };
    },
  };
}

import { createHash } from "node:crypto";
import { parseDuration } from "../../domain/time.ts";
import type { Checked, PolicyContext } from "./compile.ts";
import type { TargetDocument } from "./document.ts";
import { suggestion } from "./nearest.ts";
import type { Target } from "./policy.ts";
import { parseWith } from "./problems.ts";

/** Checks every target's settings by its issuer's own schema. One that cannot be used is left out, and said. */
export function compileTargets(
  documents: readonly Checked<TargetDocument>[],
  { issuers, kinds }: Pick<PolicyContext, "issuers" | "kinds">,
): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const { document, complaints } of documents) {
    const { kind: _kind, name, owner, issuer, rotate, ...written } = document;
    if (Object.hasOwn(issuers, name)) {
      complaints.add(["name"], `"${name}" is the name of an issuer`, { help: "leases, marks and locks name issuers and targets alike" });
      continue;
    }
    const kind = kinds.get(issuer);
    if (kind === undefined) {
      complaints.add(["issuer"], `there is no issuer "${issuer}" that is made at targets`, { help: suggestion(issuer, [...kinds.keys()]) });
      continue;
    }
    const { value: settings, clean } = parseWith(kind.settings, written, complaints);
    if (settings === undefined || !clean) continue;
    if (rotate !== undefined && kind.rotates?.(settings) !== true)
      complaints.add(["rotate"], `the broker holds no password or key of its own at ${name} that it could change`, {
        help: "leave `rotate` out: what you supply there you change yourself, and a changed file is read anew",
      });
    const version = createHash("sha256").update(JSON.stringify(document)).digest("hex").slice(0, 16);
    const rotateMs = rotate === undefined ? undefined : parseDuration(rotate);
    targets.set(name, { name, owner, kind, settings, rotateMs, version });
  }
  return targets;
}

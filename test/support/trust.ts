import { presetOf } from "../../broker/attestation/presets.ts";
import type { Trust } from "../../broker/policy/policy.ts";
import { compileTemplate } from "../../broker/policy/template.ts";
import type { Claims } from "../../domain/principal.ts";

/** The audience that test brokers have. */
export const AUDIENCE = "https://broker.test";

/** A trust as its document would compile, with the preset's defaults; say at least the issuer. */
export function trust(settings: Partial<Trust> & Pick<Trust, "issuer">): Trust {
  const preset = presetOf(settings.preset ?? "github");
  return {
    name: settings.preset ?? "github",
    owner: "team-platform",
    preset: "github",
    audiences: [AUDIENCE],
    algorithms: preset.algorithms,
    keys: { from: "discovery" },
    privateNetwork: false,
    insecureHttp: settings.issuer.startsWith("http://"),
    caFile: undefined,
    bearerFile: undefined,
    maxUses: preset.maxUses,
    renderId: template(preset.id),
    renderWorkload: template(preset.workload),
    renderTask: preset.task === undefined ? () => undefined : template(preset.task),
    ...settings,
  };
}

/** The map that a policy holds them in. */
export const trustMap = (...trusts: readonly Trust[]): ReadonlyMap<string, Trust> => new Map(trusts.map((one) => [one.name, one]));

function template(text: string): (claims: Claims) => string | undefined {
  const compiled = compileTemplate(text);
  if ("error" in compiled) throw new Error(compiled.error);
  return compiled.render;
}

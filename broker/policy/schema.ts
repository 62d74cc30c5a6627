import { z } from "zod";
import { PRESET_TABLE } from "../attestation/presets.ts";
import { DOCUMENTS } from "./document.ts";

/**
 * The JSON Schema of configuration documents, for editors: made from the same schemas that check them when they are loaded. Known
 * claims of all platforms are listed as suggestions; any other name is a claim too.
 */
export function policySchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(z.union(Object.values(DOCUMENTS)), {
    io: "input",
    target: "draft-2020-12",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema instanceof z.ZodRecord && z.globalRegistry.get(zodSchema)?.id === "Conditions")
        jsonSchema.properties = claimSuggestions(jsonSchema.additionalProperties);
    },
  });
  return { ...schema, $id: "https://stint.dev/schema/stint.v1.json", title: "Stint configuration document" };
}

/** `schema/stint.v1.json` as it belongs in the repository. */
export const policySchemaFile = (): string => `${JSON.stringify(policySchema(), null, 2)}\n`;

function claimSuggestions(condition: unknown): Record<string, never> {
  const platforms = new Map<string, string[]>();
  for (const [preset, { claims }] of Object.entries(PRESET_TABLE))
    for (const claim of claims) platforms.set(claim, [...(platforms.get(claim) ?? []), preset]);
  const members = [...platforms].map(([claim, presets]) => [
    claim,
    { ...(condition as object), description: `Sent by ${presets.join(", ")}.` },
  ]);
  return Object.fromEntries(members) as Record<string, never>;
}

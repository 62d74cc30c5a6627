import { z } from "zod";
import type { IssuerKind } from "../../domain/target.ts";
import { PRESET_TABLE } from "../attestation/presets.ts";
import { DOCUMENTS } from "./document.ts";

/**
 * The JSON Schema of configuration documents, for editors: made from the same schemas that check them when they are loaded. Known
 * claims of all platforms are listed as suggestions; any other name is a claim too.
 */
export function policySchema(kinds: ReadonlyMap<string, IssuerKind>): Readonly<Record<string, unknown>> {
  const { Target, ...others } = DOCUMENTS;
  const schema = z.toJSONSchema(z.union(Object.values(others)), {
    io: "input",
    target: "draft-2020-12",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema instanceof z.ZodRecord && z.globalRegistry.get(zodSchema)?.id === "Conditions")
        jsonSchema.properties = claimSuggestions(jsonSchema.additionalProperties);
    },
  });
  const targets = [...kinds.values()].map((kind) => targetSchema(Target, kind));
  return {
    ...schema,
    anyOf: [...(schema.anyOf ?? []), ...targets],
    $id: "https://stint.dev/schema/stint.v1.json",
    title: "Stint configuration document",
  };
}

/** `schema/stint.v1.json` as it belongs in the repository. */
export const policySchemaFile = (kinds: ReadonlyMap<string, IssuerKind>): string => `${JSON.stringify(policySchema(kinds), null, 2)}\n`;

type Json = z.core.JSONSchema.BaseSchema;

/** A Target of one kind: what every target has, and its issuer's own members beside it. */
function targetSchema(base: z.ZodType, made: IssuerKind): Json {
  const { kind, settings } = made;
  const options = { io: "input", target: "draft-2020-12", unrepresentable: "any" } as const;
  const [common, own] = [z.toJSONSchema(base, options), z.toJSONSchema(settings, options)] as const;
  const { $schema: _schema, ...rest } = own;
  const { rotate, ...shared } = common.properties ?? {};
  return {
    ...rest,
    type: "object",
    title: `Target: ${kind}`,
    properties: {
      ...shared,
      ...(made.rotates !== undefined && rotate !== undefined && { rotate }),
      ...own.properties,
      issuer: { type: "string", const: kind },
    },
    required: [...new Set([...(common.required ?? []), ...(own.required ?? [])])],
    additionalProperties: false,
  };
}

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

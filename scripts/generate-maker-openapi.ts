import { z } from "zod";
import { CreateAnswer, CreateRequest, Json, Listing, Refusal, RenewAnswer, RenewRequest } from "../issuers/http/wire.ts";

const SCHEMAS = { CreateRequest, CreateAnswer, RenewRequest, RenewAnswer, Listing, Refusal, Json };
type Name = keyof typeof SCHEMAS;

const reference = (name: Name) => ({ $ref: `#/components/schemas/${name}` });
const json = (name: Name) => ({ "application/json": { schema: reference(name) } });
const body = (name: Name) => ({ required: true, content: json(name) });
const says = (description: string, name?: Name) => ({ description, ...(name !== undefined && { content: json(name) }) });

const lease = {
  name: "lease_id",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^lease_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$" },
};
const query = (name: string, description: string) => ({ name, in: "query", required: false, description, schema: { type: "string" } });
const handle = {
  name: "Stint-Handle",
  in: "header",
  required: false,
  description: "What the maker gave as `handle`, where the broker still has it. Signed when present.",
  schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,2048}$" },
};
const REFUSALS = {
  "401": says("The signature is missing, wrong, too old or was used before.", "Refusal"),
  "503": says("Not now; `Retry-After` is heeded. Any 5xx, 408, 425 and 429 count as this.", "Refusal"),
};

const PATHS = {
  "/credentials": {
    post: {
      operationId: "create",
      summary: "Makes the credential of a lease",
      description: "Asked once for a lease. Must be refused with 410 when the lease was ended before, however late this arrives.",
      requestBody: body("CreateRequest"),
      responses: {
        "201": says("Made. 200 is the same.", "CreateAnswer"),
        "409": says("Made before, and what was made cannot be told again. The broker ends the lease.", "Refusal"),
        "410": says("The lease was ended before. The broker ends it again.", "Refusal"),
        "422": says("The grant or the workload asked for what there is not. A person must look.", "Refusal"),
        ...REFUSALS,
      },
    },
    get: {
      operationId: "list",
      summary: "Lists what is alive",
      description: "So that a broker whose memory was restored or lost finds what nobody remembers. At most 1,000 items a page.",
      parameters: [
        query("broker", "Only what this broker asked for, if the maker can tell them apart."),
        query("cursor", "`next_cursor` of the page before."),
      ],
      responses: { "200": says("A page.", "Listing"), ...REFUSALS },
    },
  },
  "/credentials/{lease_id}": {
    delete: {
      operationId: "revoke",
      summary: "Ends the credential of a lease",
      description:
        "Must work with the id alone, any number of times, and for leases of which nothing was made: then the maker remembers the id for two days and refuses to make anything for it. Answered only when the credential opens nothing any more, open sessions included.",
      parameters: [lease, handle],
      responses: {
        "204": says("Ended. 200 is the same."),
        "404": says("There was nothing, and there will be nothing. 410 is the same.", "Refusal"),
        "409": says("Not ended yet: asked again later. 202 and 423 are the same.", "Refusal"),
        ...REFUSALS,
      },
    },
  },
  "/credentials/{lease_id}/renew": {
    post: {
      operationId: "renew",
      summary: "Moves the end of a credential",
      description: "Only where the Target says `renew: true`.",
      parameters: [lease],
      requestBody: body("RenewRequest"),
      responses: {
        "200": says("Renewed; with a credential if its value changed.", "RenewAnswer"),
        "204": says("Renewed; the credential keeps its value."),
        "404": says("There is nothing to renew. 410 is the same.", "Refusal"),
        ...REFUSALS,
      },
    },
  },
};

/** The maker's contract as an OpenAPI document, made from the schemas that read its answers. */
export function makerOpenapiFile(): string {
  const registry = z.registry<{ readonly id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, unrepresentable: "any", override: plainTimes });
  const document = {
    openapi: "3.1.0",
    info: {
      title: "A maker of credentials for Stint",
      version: "1",
      description:
        "What a program answers that makes and ends credentials for a broker (docs/issuers/http.md). Every request is signed by HTTP Message Signatures (RFC 9421) with a key that both share.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "https://maker.example", description: "The Target's `url`." }],
    security: [{ signature: [] }],
    paths: PATHS,
    components: {
      securitySchemes: {
        signature: { type: "apiKey", in: "header", name: "Signature", description: "RFC 9421, hmac-sha256, tag `stint-maker`." },
      },
      schemas: Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema)])),
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Inside a document a schema needs neither its dialect nor its own address. */
function bare(schema: z.core.JSONSchema.BaseSchema): unknown {
  const { $schema: _dialect, $id: _id, ...rest } = schema;
  return rest;
}

/** A `format` says it already. */
function plainTimes({ jsonSchema }: { readonly jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format === "date-time") delete jsonSchema.pattern;
}

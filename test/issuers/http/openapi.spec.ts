import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { z } from "zod";
import { systemClock } from "../../../domain/time.ts";
import { httpKind } from "../../../issuers/http/issuer.ts";
import { CreateAnswer, RenewAnswer } from "../../../issuers/http/wire.ts";
import { orderFor } from "../../contract/issuer-contract.ts";
import { json, made, startMaker } from "../../support/maker-server.ts";
import { targetPorts } from "../../support/target-ports.ts";

interface Published {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, unknown>> }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}
const text = readFileSync(join(import.meta.dirname, "../../../../docs/issuers/http-maker.openapi.json"), "utf8");
const published = JSON.parse(text) as Published;

/** A published schema as another reader would have it: from the document alone. */
function schemaOf(name: string): z.ZodType {
  const { schemas } = (JSON.parse(text.replaceAll("#/components/schemas/", "#/$defs/")) as Published).components;
  return z.fromJSONSchema({ ...schemas[name], $defs: schemas } as z.core.JSONSchema.JSONSchema);
}

describe("the published contract of makers", () => {
  it("names every call that is made, and every answer that means something of its own", () => {
    expect(published.openapi).toBe("3.1.0");
    const calls = Object.entries(published.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { responses }]) => `${method} ${path}: ${Object.keys(responses).join(" ")}`),
    );
    expect(calls).toEqual([
      "post /credentials: 201 401 409 410 422 503",
      "get /credentials: 200 401 503",
      "delete /credentials/{lease_id}: 204 401 404 409 503",
      "post /credentials/{lease_id}/renew: 200 204 401 404 503",
    ]);
  });

  it("describes what is really sent", async () => {
    await using maker = await startMaker(made());
    const ports = targetPorts(systemClock);
    ports.secrets.set("env:MAKER_KEY", "a-key-of-at-least-thirty-two-characters");
    const settings = httpKind.settings.parse({
      url: maker.url,
      key: "env:MAKER_KEY",
      insecure_http: true,
      renew: true,
      options: ["queue"],
    });
    const issuer = httpKind.open({ name: "queue", owner: undefined, settings }, ports);
    const order = orderFor(
      { issuer, settings: { params: { vhost: { name: "shop" } } }, now: systemClock },
      { options: { queue: ["a"] }, purpose: "x" },
    );
    await issuer.issue(order, AbortSignal.timeout(5_000));
    maker.next.push(json(204, undefined));
    await issuer.renew?.(order, AbortSignal.timeout(5_000));
    expect(schemaOf("CreateRequest").parse(maker.asked[0]?.json)).toEqual(maker.asked[0]?.json);
    expect(schemaOf("RenewRequest").parse(maker.asked[1]?.json)).toEqual(maker.asked[1]?.json);
    expect(schemaOf("CreateRequest").safeParse({ ...maker.asked[0]?.json, lease_id: "lease_x" }).success).toBe(false);
  });

  const lease = "lease_01jn5k3ahe0000000000000000";
  const credential = { kind: "user", secret: { name: "password", value: "x" }, secrets: { token: "y" }, facts: { host: "h", ports: [1] } };
  it.each([
    [{ lease_id: lease, credential }, true],
    [{ lease_id: lease, credential, handle: "h", expires_at: "2026-03-02T12:00:00Z" }, true],
    [{ lease_id: lease, credential, expires_at: "tomorrow" }, false],
    [{ lease_id: "lease", credential }, false],
    [{ lease_id: lease, credential: { ...credential, secret: { name: "Password", value: "x" } } }, false],
    [{ lease_id: lease, credential, type: "jwt" }, false],
    [{ lease_id: lease }, false],
  ])("accepts what the code accepts: %j, %s", (answer, accepted) => {
    expect(schemaOf("CreateAnswer").safeParse(answer).success).toBe(accepted);
    expect(CreateAnswer.safeParse(answer).success).toBe(accepted);
    expect(schemaOf("RenewAnswer").safeParse({ ...answer, credential: undefined }).success).toBe(
      RenewAnswer.safeParse({ ...answer, credential: undefined }).success,
    );
  });
});

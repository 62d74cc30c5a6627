import { readFile } from "node:fs/promises";
import { describe, expect, it } from "@jest/globals";
import { createApp, createMetricsApp } from "../../../broker/app.ts";
import { openapiDocument } from "../../../broker/http/openapi.ts";
import { ROUTES } from "../../../broker/http/routes.ts";
import { openapiFile } from "../../../scripts/generate-openapi.ts";
import { fakeClock } from "../../support/clock.ts";
import { startHttp } from "../../support/http.ts";
import { memoryServices } from "../../support/memory-services.ts";

const root = new URL("../../../../", import.meta.url);
const options = { clock: fakeClock(), version: "0.0.0", trustedProxies: [], served: () => undefined };
const document = openapiDocument(ROUTES, { url: "https://stint.example", version: "0.0.0" });

interface Layer {
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
}

/** Every method and path that express would route, as OpenAPI writes them. */
function walk(app: unknown): readonly string[] {
  const { stack } = (app as { router: { stack: readonly Layer[] } }).router;
  return stack.flatMap(({ route }) =>
    route === undefined ? [] : Object.keys(route.methods).map((method) => `${method} ${route.path.replaceAll(/:(\w+)/g, "{$1}")}`),
  );
}

describe("the OpenAPI document", () => {
  const described = Object.entries(document.paths ?? {}).flatMap(([path, item]) => Object.keys(item).map((method) => `${method} ${path}`));

  it("describes every route that express serves, and none that it does not", () => {
    const walked = walk(createApp(memoryServices(fakeClock()), options));
    expect(walked.length).toBeGreaterThan(30);
    expect(walked.toSorted()).toEqual(described.toSorted());
    expect(new Set(walked).size).toBe(walked.length);
  });

  it("in the repository is the one the code makes", async () => {
    expect(await readFile(new URL("schema/openapi.json", root), "utf8")).toBe(await openapiFile(root));
  });

  it("has a success and a refusal for each operation, and unique operation ids", () => {
    const operations = Object.values(document.paths ?? {}).flatMap(
      (item) => Object.values(item) as { operationId: string; responses: Record<string, unknown> }[],
    );
    for (const { responses } of operations) {
      expect(Object.keys(responses).some((status) => /^2\d\d$/.test(status))).toBe(true);
      expect(responses["default"]).toBeDefined();
    }
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  });

  it("refers to nothing that it does not define", () => {
    const text = JSON.stringify(document);
    const names = new Set([...text.matchAll(/#\/components\/schemas\/([A-Za-z0-9_]+)/g)].map(([, name]) => name ?? ""));
    for (const name of names) expect(Object.keys(document.components?.schemas ?? {})).toContain(name);
  });

  it("is served, with the broker's own URL in it", async () => {
    await using http = await startHttp();
    const response = await http.fetch("/openapi.json");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toMatchObject({ openapi: "3.1.0", servers: [{ url: "http://127.0.0.1:8420" }] });
  });
});

describe("the listener for metrics", () => {
  it("serves health and metrics, and nothing of the rest", () => {
    const app = createMetricsApp(memoryServices(fakeClock()), options, async () => ({ contentType: "text/plain", text: "" }));
    expect(walk(app)).toEqual(["get /livez", "get /healthz", "get /readyz", "get /metrics"]);
  });
});

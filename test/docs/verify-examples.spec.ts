import { describe, expect, it } from "@jest/globals";
import type { Express } from "express";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readOptions } from "../../client/verify/options.ts";
import { systemClock } from "../../domain/time.ts";
import { startFeedServer } from "../support/feed-server.ts";
import { blocksIn, page, root, table, words } from "./pages.ts";

const example = (info: string): string => {
  const [block] = blocksIn("js").filter((one) => one.info === `js ${info}`);
  if (block === undefined) throw new Error(`docs/verify.md has no example ${info}`);
  return ["verify/express", "verify"].reduce((text, entry) => {
    const file = entry === "verify" ? "dist/client/verify/index.js" : "dist/client/verify/express.js";
    return text.replace(`"stint/${entry}"`, JSON.stringify(pathToFileURL(join(root, file)).href));
  }, block.text);
};

/** Runs a program as a file of its own, and gives what it exports. */
async function run(name: string, text: string): Promise<Record<string, unknown>> {
  const file = join(import.meta.dirname, `${name}.mjs`);
  writeFileSync(file, text);
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } finally {
    rmSync(file);
  }
}

describe("the examples of the page on verifying", () => {
  it("protect an API that believes the broker and nobody else", async () => {
    await using feed = await startFeedServer({ clock: systemClock, audience: "https://deploy.acme.dev" });
    process.env["VERIFIER_KEY"] = "secret";
    const text = example("verify-api").replace("https://stint.acme.dev", feed.url).replace("const guard", "export const guard");
    const { app, guard } = (await run("verify-api", text)) as { app: Express; guard: { verifier: { close(): Promise<void> } } };
    delete process.env["VERIFIER_KEY"];
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    const deploy = (token: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/deploy/v1`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
      });
    const lease = feed.lease();
    const token = feed.token({ lease_id: lease });
    expect(await (await deploy(token)).json()).toMatchObject({ deployed: "v1", for: "github:1", task: expect.stringMatching(/^task_/) });
    expect((await deploy(feed.token({ scope: "deploy:read" }))).status).toBe(403);
    feed.revoke(lease, Date.now() / 1000 + 600);
    let status = 200;
    for (let tries = 0; tries < 500 && status === 200; tries++) {
      status = (await deploy(token)).status;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(status).toBe(401);
    server.closeAllConnections();
    server.close();
    await guard.verifier.close();
  });

  it("test one without a network", async () => {
    await run("verify-test", example("verify-test"));
  });
});

describe("the options on the page on verifying", () => {
  const rows = table(page("docs/verify.md"), "| Option | Default | Meaning |");
  const defaultOf = (name: string): string => rows.find(([option = ""]) => words(option).includes(name))?.[1] ?? "";

  it("have the defaults that the code has", () => {
    const settings = readOptions({ issuer: "https://stint.test", audience: "a", name: "n", key: "k" });
    expect(defaultOf("revocation")).toBe(`\`"${settings.revocation}"\``);
    expect(defaultOf("onStale")).toBe(`\`"${settings.onStale}"\``);
    expect(defaultOf("maxStaleness")).toBe(`\`"${settings.maxStalenessMs / 1000}s"\``);
    expect(defaultOf("clockTolerance")).toBe(`\`"${settings.toleranceSeconds}s"\``);
    expect(defaultOf("algorithms")).toBe(`\`${JSON.stringify(settings.algorithms).replaceAll(",", ", ")}\``);
    expect(defaultOf("reports")).toBe(`\`${settings.reports}\``);
    expect(defaultOf("cache")).toBe(`${settings.cacheEntries.toLocaleString("en")} entries, ${settings.cacheBytes / 1024 ** 2} MiB`);
  });
});

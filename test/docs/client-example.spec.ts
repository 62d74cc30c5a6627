import { describe, expect, it } from "@jest/globals";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openShop } from "../support/shop.ts";
import { blocksIn, root } from "./pages.ts";

const [example] = blocksIn("js");

describe("the program in the README", () => {
  it("gets a credential, uses it, and leaves nothing alive", async () => {
    await using shop = await openShop();
    const seen: string[] = [];
    const api = createServer((request, response) => {
      seen.push(request.headers.authorization ?? "");
      response.end();
    }).listen(0, "127.0.0.1");
    await once(api, "listening");
    const file = join(import.meta.dirname, "readme-example.mjs");
    const text = (example?.text ?? "")
      .replace('"stint/client"', JSON.stringify(pathToFileURL(join(root, "dist/client/index.js")).href))
      .replace("https://stint.acme.dev", shop.broker.url)
      .replace("https://tickets.acme.dev/stale", `http://127.0.0.1:${(api.address() as AddressInfo).port}/stale`)
      .replace("tickets-write", "deploy");
    writeFileSync(file, text);
    process.env["STINT_ID_TOKEN"] = (await shop.evidence()).reveal();
    try {
      await import(pathToFileURL(file).href);
    } finally {
      delete process.env["STINT_ID_TOKEN"];
      rmSync(file);
      api.close();
    }
    expect(seen).toHaveLength(1);
    const token = seen[0]?.replace("Bearer ", "") ?? "";
    expect(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"))).toMatchObject({ grant: "deploy" });
    expect(await shop.broker.store.leases.counts()).toMatchObject({ opened: 1, byState: { active: 0, revoked: 1 } });
  });
});

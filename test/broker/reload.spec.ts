import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { newOperatorToken } from "../../broker/operators.ts";
import { Secret } from "../../domain/secret.ts";
import { origin, startBroker } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { presetClaims } from "../support/idp-claims.ts";
import { startIdp } from "../support/idp.ts";
import { freePort } from "../support/redis.ts";
import { request, shopDocuments } from "../support/shop.ts";

describe("a reload", () => {
  it("swaps all or nothing, revokes nothing, and says what it leaves behind", async () => {
    const clock = fakeClock();
    await using idp = await startIdp({ clock });
    const url = `http://127.0.0.1:${await freePort()}`;
    const policyDir = await mkdtemp(join(tmpdir(), "stint-reload-"));
    const write = (text: string): Promise<void> => writeFile(join(policyDir, "policy.yaml"), text);
    const documents = shopDocuments(idp, url);
    await write(documents);
    await using broker = await startBroker({ clock, url, policyDir });
    const exchange = async (grant: string) => {
      const evidence = new Secret(
        await idp.token(presetClaims("github", { iss: idp.issuer, aud: url, repository_id: "456789", ref: "refs/heads/main" })),
      );
      return broker.services.requests.exchange({ ...request(grant), evidence });
    };
    const issued = await exchange("few");
    const ada = newOperatorToken("ada", "admin");

    await write("kind: Grant\nname: BAD");
    const refused = await broker.reload({ file: "operators", text: "ada admin nonsense" });
    expect(refused).toMatchObject({ policy: { ok: false }, operators: [{ line: 1 }] });
    const policyCheck = (): unknown => broker.services.readiness().checks.find(({ name }) => name === "policy");
    expect(policyCheck()).toMatchObject({ status: "warn", detail: expect.stringMatching(/^the files as they are now are refused \(/) });
    expect(await exchange("few")).toMatchObject({ grant: "few" });
    expect(broker.services.operators.authenticate(broker.operators.admin)).toBeDefined();

    await write(documents.replace(/(name: few[\s\S]*?repository_id: )"456789"/, '$1"1"'));
    await broker.reload({ file: "operators", text: ada.line });
    await broker.settled();
    expect(broker.logged).toContainEqual({
      level: "warn",
      message: "live leases would no longer be granted; a reload ends none",
      fields: {
        what: "grant few has other rules now: these may no longer be granted",
        leases: 2,
        workloads: ["github/octo-org/octo-repo"],
        command: 'stint revoke --grant few --reason "rules changed"',
      },
    });

    await write(documents.replace(/---\nkind: Grant\nname: few[\s\S]*?(?=---)/, ""));
    const taken = await broker.reload({ file: "operators", text: ada.line });
    expect(taken).toMatchObject({ policy: { ok: true }, operators: [] });
    expect(policyCheck()).toMatchObject({ detail: expect.not.stringContaining("refused") });
    await broker.settled();
    await expect(exchange("few")).rejects.toMatchObject({ code: "not_permitted" });
    expect(await broker.services.leases.get(issued.lease.id, { kind: "bearer", token: issued.credential.token }, origin())).toMatchObject({
      state: "active",
    });
    expect(broker.logged).toContainEqual({
      level: "warn",
      message: "live leases would no longer be granted; a reload ends none",
      fields: {
        what: "grant few was removed",
        leases: 2,
        workloads: ["github/octo-org/octo-repo"],
        command: 'stint revoke --grant few --reason "grant removed"',
      },
    });
    expect(broker.services.operators.authenticate(broker.operators.admin)).toBeUndefined();
    expect(broker.services.operators.authenticate(ada.token)).toEqual({ name: "ada", role: "admin" });
    await rm(policyDir, { recursive: true, force: true });
  });
});

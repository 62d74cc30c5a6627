import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { newPassword, scramVerifier } from "../../../issuers/postgres/scram.ts";
import { startPostgres, type TestPostgres } from "../../support/postgres.ts";

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
  await server.sql("CREATE ROLE someone LOGIN");
});
afterAll(async () => {
  await server.stop();
});

describe("a SCRAM verifier of ours", () => {
  it("signs what the server of RFC 7677 signs", async () => {
    const verifier = await scramVerifier("pencil", Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"));
    const [, serverKey = ""] = /:([^:]+)$/.exec(verifier) ?? [];
    const [first, challenge, last] = [
      "n=user,r=rOprNGfwEbeRWgbNEkqO",
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    ];
    const signature = createHmac("sha256", Buffer.from(serverKey, "base64")).update([first, challenge, last].join(",")).digest("base64");
    expect(signature).toBe("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  });

  it("lets in whoever has the password, and nobody else, whatever the password", async () => {
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[!-~]{1,40}$/), async (password) => {
        await server.sql(`ALTER ROLE someone PASSWORD '${await scramVerifier(password)}'`);
        const client = await server.client({ username: "someone", password });
        await client.end();
        await expect(server.client({ username: "someone", password: `${password}x` })).rejects.toMatchObject({ code: "28P01" });
      }),
      { numRuns: 15 },
    );
  });

  it("is stored by the server as it is, for a psql to log in with a password that we made", async () => {
    const password = newPassword();
    expect(password).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const verifier = await scramVerifier(password);
    await server.sql(`ALTER ROLE someone PASSWORD '${verifier}'`);
    expect(await server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'someone'")).toEqual([{ rolpassword: verifier }]);
    expect((await server.psql({ username: "someone", password }, "SELECT 1")).code).toBe(0);
  });

  it("never comes twice", async () => {
    expect(newPassword()).not.toBe(newPassword());
    expect(await scramVerifier("same")).not.toBe(await scramVerifier("same"));
  });
});

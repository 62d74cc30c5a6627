import { describe, expect, it } from "@jest/globals";
import { issuerKinds } from "../../issuers/catalog.ts";

const APP = { client_id: "Iv1", private_key: "file:app.pem", installation: 1, permissions: { contents: "read" } };
const SERVER = { address: "db:5432", user: "stint", roles: ["reader"] };

describe("a password or key of the broker's own, which a schedule may change,", () => {
  it.each([
    { kind: "postgres", of: "with a password", settings: { ...SERVER, password: "file:password" }, rotates: true },
    { kind: "postgres", of: "that knows us otherwise", settings: SERVER, rotates: false },
    { kind: "ssh", of: "whose CA is ours", settings: {}, rotates: true },
    { kind: "ssh", of: "whose CA is supplied", settings: { ca: { key: "file:ca" } }, rotates: false },
    { kind: "x509", of: "whose CA is ours", settings: {}, rotates: true },
    { kind: "x509", of: "whose CA is supplied", settings: { ca: { certificate: "file:ca.pem", key: "file:ca.key" } }, rotates: false },
    { kind: "github-app", of: "with the App's key", settings: APP, rotates: false },
    { kind: "http", of: "with a shared key", settings: { url: "https://maker.test", key: "env:KEY" }, rotates: false },
  ])("is there at a target of $kind $of: $rotates", ({ kind, settings, rotates }) => {
    const found = issuerKinds.get(kind);
    expect(found?.rotates?.(found.settings.parse(settings)) ?? false).toBe(rotates);
  });

  it("is said of every kind there is", () =>
    expect([...issuerKinds.keys()].toSorted()).toEqual(["github-app", "http", "postgres", "ssh", "x509"]));
});

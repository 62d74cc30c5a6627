import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { toOcsf } from "../../client/ocsf.ts";
import { AUDIT_ACTIONS, type AuditRecord } from "../../domain/audit-event.ts";

const PRODUCT = { version: "1.0.0", url: "https://stint.acme.dev" };
const record: AuditRecord = { bucket: 3, seq: 7, at: "2026-03-02T12:00:00.010Z", action: "lease.issued", principal: "github:1" };

describe("a record as an OCSF event", () => {
  it("says who was let do what, when, by which rule", () => {
    const event = toOcsf({ ...record, decision: "allow", lease: "lease_1", grant: "deploy", rule: "deploy#0", policy: "p1" }, PRODUCT);
    expect(event).toMatchObject({
      class_uid: 3003,
      activity_id: 1,
      type_uid: 300301,
      category_uid: 3,
      severity_id: 1,
      status_id: 1,
      time: Date.parse("2026-03-02T12:00:00.010Z"),
      metadata: { version: "1.8.0", product: { name: "Stint", version: "1.0.0" }, uid: "3.7", sequence: 7, log_name: "stint.acme.dev" },
      actor: { user: { uid: "github:1" }, authorizations: [{ decision: "allow", policy: { uid: "deploy#0", version: "p1" } }] },
      session: { uid: "lease_1" },
      privileges: ["deploy"],
    });
  });

  it("has what every OCSF event must have, whatever the record", () => {
    fc.assert(
      fc.property(fc.constantFrom(...AUDIT_ACTIONS), fc.constantFrom("allow", "deny", "error", undefined), (action, decision) => {
        const event = toOcsf({ ...record, action, ...(decision !== undefined && { decision }) }, PRODUCT);
        expect(event["type_uid"]).toBe(Number(event["class_uid"]) * 100 + Number(event["activity_id"]));
        expect(event["status_id"]).toBe(decision === "deny" || decision === "error" ? 2 : 1);
        for (const member of ["time", "metadata", "severity_id", "actor", "category_uid"]) expect(event[member]).toBeDefined();
      }),
    );
  });
});

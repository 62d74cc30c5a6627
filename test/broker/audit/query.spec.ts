import { appendFile } from "node:fs/promises";
import { describe, expect, it } from "@jest/globals";
import { queryAudit } from "../../../broker/audit/query.ts";
import type { AuditQuery } from "../../../broker/services.ts";
import { newId } from "../../../domain/ids.ts";
import { segmentFiles } from "../../support/audit-files.ts";
import { startExporting, type Exporting } from "../../support/exporting.ts";

const all = async (
  test: Exporting,
  query: AuditQuery,
  limit: number,
  between: () => Promise<void> = async () => undefined,
): Promise<readonly unknown[]> => {
  const found: unknown[] = [];
  let cursor: string | undefined;
  do {
    const page = await queryAudit({ dir: test.dir, stream: test.store.audit }, query, cursor, limit);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    found.push(...page.items.map((item) => item["n"]));
    cursor = page.nextCursor;
    await between();
  } while (cursor !== undefined);
  return found;
};
const down = (from: number): readonly number[] => Array.from({ length: from }, (_, index) => from - 1 - index);
const sayInOrder = async (test: Exporting, count: number): Promise<void> => {
  for (let index = 0; index < count; index += 1) {
    test.clock.advance({ ms: 10 });
    await test.say(1);
  }
};

describe("asking the audit", () => {
  it("gives the newest first, over files and over what waits in the store, page by page", async () => {
    await using test = await startExporting();
    const exporter = test.exporter();
    for (let part = 0; part < 3; part += 1) {
      await sayInOrder(test, 20);
      if (part < 2) await exporter.round();
      test.clock.advance({ days: 1 });
    }
    for (const limit of [1, 7, 20, 1000]) expect(await all(test, {}, limit)).toEqual(down(60));
  });

  it("skips nothing and repeats nothing when records are exported and written between two pages", async () => {
    await using test = await startExporting();
    const exporter = test.exporter();
    await sayInOrder(test, 30);
    await exporter.round();
    await sayInOrder(test, 30);
    expect(
      await all(test, {}, 7, async () => {
        await exporter.round();
        test.clock.advance({ seconds: 1 });
        await test.say(1, { n: "later" });
      }),
    ).toEqual(down(60));
  });

  it("finds by every member, and by several at once", async () => {
    await using test = await startExporting();
    const lease = newId("lease", 1);
    const task = newId("task", 1);
    await test.say(1);
    const facts = {
      subject: "github:42",
      workload: "github/acme/shop",
      grant: "deploy",
      decision: "deny",
      code: "locked",
      task,
      lease,
      denial: newId("den", 1),
      trace_id: "ab".repeat(16),
    } as const;
    test.clock.advance({ hours: 1 });
    await test.say(1, { ...facts, action: "request.denied" });
    test.clock.advance({ hours: 1 });
    await test.say(1, { action: "leases.expired", leases: [lease] });
    const noon = Date.parse("2026-03-02T12:00:00Z");
    const rows: readonly (readonly [AuditQuery, readonly number[]])[] = [
      [{ action: "request.denied" }, [1]],
      [{ action: "task.ended" }, []],
      [{ subject: "github:42" }, [1]],
      [{ workload: "github/acme/shop" }, [1]],
      [{ workload: "github:42" }, [1]],
      [{ principal: "github:2" }, [2]],
      [{ grant: "deploy", decision: "deny", code: "locked" }, [1]],
      [{ grant: "deploy", decision: "allow" }, []],
      [{ task }, [1]],
      [{ lease }, [2, 1]],
      [{ denial: facts.denial }, [1]],
      [{ traceId: facts.trace_id }, [1]],
      [{ since: noon + 3_600_000 }, [2, 1]],
      [{ until: noon + 3_600_000 }, [0]],
      [{ since: noon + 1, until: noon + 7_200_000 }, [1]],
    ];
    for (const exported of [false, true]) {
      if (exported) await test.exporter().round();
      for (const [query, wanted] of rows) expect({ query, found: await all(test, query, 10) }).toEqual({ query, found: wanted });
    }
  });

  it("shows records as they were written, without their place in the chain", async () => {
    await using test = await startExporting();
    await test.say(1);
    const before = await queryAudit({ dir: test.dir, stream: test.store.audit }, {}, undefined, 10);
    await test.exporter().round();
    const after = await queryAudit({ dir: test.dir, stream: test.store.audit }, {}, undefined, 10);
    expect(after.items).toEqual(before.items);
    expect(Object.keys(after.items[0] ?? {})).not.toContain("prev");
  });

  it("passes over half a record", async () => {
    await using test = await startExporting();
    await test.say(3);
    await test.exporter().round();
    const [file] = await segmentFiles(test.dir);
    await appendFile(file?.path ?? "", '{"action":"le');
    expect(await all(test, {}, 2)).toHaveLength(3);
  });

  it.each([
    "x",
    "",
    Buffer.from('["a1",-1,0]').toString("base64url"),
    Buffer.from('["a1",1e99,0]').toString("base64url"),
    Buffer.from('["a2",0,0]').toString("base64url"),
    Buffer.from("[[[[").toString("base64url"),
  ])("refuses a cursor that it never gave out (%#)", async (cursor) => {
    await using test = await startExporting();
    await expect(queryAudit({ dir: test.dir, stream: test.store.audit }, {}, cursor, 10)).rejects.toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining("cursor"),
    });
  });

  it("is not confused by a cursor into the middle of a record", async () => {
    await using test = await startExporting();
    await test.say(5);
    await test.exporter().round();
    for (const offset of [1, 150, 10_000]) {
      const cursor = Buffer.from(JSON.stringify(["a1", 0, offset])).toString("base64url");
      const page = await queryAudit({ dir: test.dir, stream: test.store.audit }, {}, cursor, 10);
      for (const item of page.items) expect(item.action).toBe("lease.issued");
    }
  });
});

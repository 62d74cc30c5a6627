import { randomUUID } from "node:crypto";
import { AuditExporter, type ExporterOptions } from "../../broker/audit/exporter.ts";
import type { AuditFacts } from "../../domain/audit-event.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { auditDirectory, checkpointKeyPair, type CheckpointKeyPair } from "./audit-files.ts";
import { fakeClock, type FakeClock } from "./clock.ts";
import { storeClock } from "./orders.ts";
import { startRedis, type TestRedis } from "./redis.ts";

export const URL_OF_BROKER = "https://stint.acme.dev";

/** A store on a real Redis, a directory, and exporters between them. */
export interface Exporting extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly store: OpenedStore;
  readonly clock: FakeClock;
  readonly keys: CheckpointKeyPair;
  readonly dir: string;
  /** A broker's exporter; with a directory of its own where one is named. */
  exporter(more?: Partial<ExporterOptions>): AuditExporter;
  /** As many records, one for each bucket in turn. */
  say(count: number, more?: Partial<AuditFacts>): Promise<void>;
}

export async function startExporting(): Promise<Exporting> {
  const redis = await startRedis();
  const clock = fakeClock();
  const store = await openStore({ url: redis.url, clock: storeClock(clock) });
  const keys = checkpointKeyPair();
  const directory = await auditDirectory();
  let said = 0;
  return {
    redis,
    store,
    clock,
    keys,
    dir: directory.dir,
    exporter: (more = {}) =>
      new AuditExporter({
        stream: store.audit,
        keys,
        dir: directory.dir,
        url: URL_OF_BROKER,
        storeId: store.id,
        holder: randomUUID(),
        clock,
        ...more,
      }),
    say: async (count, more = {}) => {
      for (let index = 0; index < count; index += 1) {
        await store.audit.append(said % 64, { action: "lease.issued", principal: `github:${said}`, n: said, ...more });
        said += 1;
      }
    },
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await redis.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { Issuer } from "../../../domain/credential.ts";
import { Secret } from "../../../domain/secret.ts";
import type { TargetPorts, TargetVault } from "../../../domain/target.ts";
import { systemClock } from "../../../domain/time.ts";
import { scramVerifier } from "../../../issuers/postgres/scram.ts";
import type { PostgresParams } from "../../../issuers/postgres/settings.ts";
import { BROKER_PASSWORD, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";
import { targetPorts } from "../../support/target-ports.ts";

let target: PostgresTarget;
let { vault, held } = targetPorts(systemClock);
beforeAll(async () => {
  target = await startPostgresTarget({ roles: ["app_read"] });
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});
beforeEach(async () => {
  ({ vault, held } = targetPorts(systemClock));
  await target.server.sql(`ALTER ROLE stint PASSWORD '${await scramVerifier(BROKER_PASSWORD)}'`);
});
/** A broker of this test's store. */
const broker = (ports: Partial<TargetPorts> = {}, settings = {}): Issuer<PostgresParams> => target.open(settings, { vault, ...ports });

const signal = (): AbortSignal => AbortSignal.timeout(15_000);
const works = async (password: string): Promise<boolean> =>
  (await target.server.psql({ username: "stint", password, database: "app" }, "SELECT 1")).code === 0;
const issues = async (issuer: Issuer<PostgresParams>): Promise<void> => void (await issuer.issue(target.order({}, {}), signal()));
const rotate = async (issuer: Issuer<PostgresParams>): Promise<void> => issuer.rotate?.(signal());
/** A vault that dies at its n-th write, before or after it is done. */
function dying(vault: TargetVault, at: number, when: "before" | "after"): TargetVault {
  let writes = 0;
  return {
    read: (name) => vault.read(name),
    swap: async (name, before, after) => {
      writes += 1;
      if (writes === at && when === "before") throw new Error("killed");
      const swapped = await vault.swap(name, before, after);
      if (writes === at) throw new Error("killed");
      return swapped;
    },
  };
}

describe("the broker's own password", () => {
  it("is another after each change, known to nobody else, in no log, and its age is a fact", async () => {
    const began = systemClock();
    const issuer = broker();
    await issues(issuer);
    await rotate(issuer);
    const { current: first } = JSON.parse(held.get("password")?.reveal() ?? "") as { readonly current: string };
    expect(await works(BROKER_PASSWORD)).toBe(false);
    expect(await works(first)).toBe(true);
    await rotate(issuer);
    expect(await works(first)).toBe(false);
    await issues(issuer);
    await issues(broker());
    const facts = await issuer.examine?.(signal());
    expect(facts?.passwordChangedAt).toBeGreaterThanOrEqual(began);
    const log = await target.server.log();
    expect(log).toContain("ALTER ROLE CURRENT_USER PASSWORD 'SCRAM-SHA-256$");
    expect(log).not.toContain(first);
  });

  it.each([
    ["before it is written down", 1, "before"],
    ["right after it was written down", 1, "after"],
    ["when the server has it but we do not know", 2, "before"],
    ["when all is done but the answer is lost", 2, "after"],
  ] as const)("works after a crash %s", async (_, at, when) => {
    const dead = broker({ vault: dying(vault, at, when) });
    await expect(rotate(dead)).rejects.toThrow("killed");
    const next = broker();
    await issues(next);
    await rotate(next);
    await issues(broker());
    expect(await works(BROKER_PASSWORD)).toBe(false);
  });

  it("works when two brokers change it at once, again and again", async () => {
    for (let round = 0; round < 5; round += 1) {
      await Promise.allSettled([broker(), broker(), broker()].map(rotate));
      await issues(broker());
    }
  });

  it("works when an old change reaches the server after a newer one", async () => {
    let late: (() => Promise<void>) | undefined;
    const slow: TargetVault = {
      read: (name) => vault.read(name),
      // the first broker stops just after it wrote its password down, and goes on when the second is done
      swap: async (name, before, after) => {
        const swapped = await vault.swap(name, before, after);
        if (late === undefined) {
          let goOn = (): void => undefined;
          const stopped = new Promise<void>((resolve) => (goOn = resolve));
          late = async () => goOn();
          await stopped;
        }
        return swapped;
      },
    };
    const first = rotate(broker({ vault: slow })).catch(() => "overtaken");
    while (late === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    await rotate(broker());
    await late();
    await first;
    await issues(broker());
    await rotate(broker());
    await issues(broker());
  });

  it("works although the one that the server took last was only noted, long ago, and the next change dies before it is set", async () => {
    const now = { at: systemClock() };
    const clock = (): number => now.at;
    await expect(rotate(broker({ vault: dying(vault, 2, "before"), clock }))).rejects.toThrow("killed");
    now.at += 86_400_000;
    await expect(rotate(broker({ vault: dying(vault, 1, "after"), clock }))).rejects.toThrow("killed");
    await issues(broker());
    await rotate(broker());
    await issues(broker());
  });

  it("may be reset by hand: then what the target's file says is tried last", async () => {
    await rotate(broker());
    await target.server.sql(`ALTER ROLE stint PASSWORD 'by-hand'`);
    const issuer = broker({ secret: async () => new Secret("by-hand") });
    await issues(issuer);
    await rotate(issuer);
    expect(await works("by-hand")).toBe(false);
    await issues(issuer);
  });

  it("needs its file no more once it was changed", async () => {
    await rotate(broker());
    const issuer = broker({ secret: () => Promise.reject(new Error("the file is gone")) });
    await issues(issuer);
  });

  it("is not changed by whoever may not, and nothing of the vault's words is in the message", async () => {
    held.set("password", new Secret("{broken-secret-words"));
    const issuer = broker();
    await expect(rotate(issuer)).rejects.toMatchObject({ name: "PermanentFailure", message: expect.not.stringContaining("secret-words") });
    await expect(rotate(broker({}, { password: undefined }))).rejects.toMatchObject({ name: "PermanentFailure" });
  });
});

import { describe, expect, it } from "@jest/globals";
import { DiesByItself, type IssueOrder, type Issuer } from "../../domain/credential.ts";
import { newId, type LeaseId } from "../../domain/ids.ts";
import { REVOCATIONS } from "../../domain/lease.ts";
import { issueOrder } from "../support/orders.ts";

/** One issuer under the contract, with a way to see from outside whether a credential works. */
export interface IssuerUnderTest<P = unknown> {
  readonly issuer: Issuer<P>;
  /** Settings as a grant would hold them. */
  readonly settings: unknown;
  /** Whether a credential opens its target now; undefined when only its own clock can say. */
  readonly works?: (token: string) => Promise<boolean>;
  readonly now: () => number;
  /** What it makes has no name at the target: without its handle only time ends it (`DiesByItself`), by this span after the lease began. */
  readonly waitsWithoutHandleMs?: number;
}

/** What every issuer promises, whatever it makes. Each issuer's own spec hands itself in. */
export function issuerContract<P>(name: string, start: () => Promise<IssuerUnderTest<P> & AsyncDisposable>): void {
  const signal = (): AbortSignal => AbortSignal.timeout(5_000);

  describe(`the issuer ${name}`, () => {
    it("says what it is and how its credentials die", async () => {
      await using test = await start();
      expect(test.issuer.kind).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(REVOCATIONS).toContain(test.issuer.revocation);
      expect(test.issuer.maxTtlMs).toBeGreaterThanOrEqual(5_000);
    });

    it("refuses settings it does not know", async () => {
      await using test = await start();
      expect(test.issuer.params.safeParse(test.settings).success).toBe(true);
      expect(test.issuer.params.safeParse({ ...Object(test.settings), surprise: 1 }).success).toBe(false);
      expect(test.issuer.params.safeParse("text").success).toBe(false);
    });

    it("makes a credential that works, prints nowhere, and stops working when it is revoked", async () => {
      await using test = await start();
      const order = orderFor(test);
      const issued = await test.issuer.issue(order, signal());
      const token = issued.credential.token.reveal();
      expect(token.length).toBeGreaterThan(0);
      expect(JSON.stringify(issued)).not.toContain(token);
      if (test.works !== undefined) expect(await test.works(token)).toBe(true);
      await test.issuer.revoke({ leaseId: order.leaseId, handle: issued.handle, expiresAt: order.expiresAt }, signal());
      if (test.issuer.revocation === "immediate") expect(await test.works?.(token)).toBe(false);
    });

    it("revokes twice as well as once", async () => {
      await using test = await start();
      const order = orderFor(test);
      const { handle } = await test.issuer.issue(order, signal());
      const first = await test.issuer.revoke({ leaseId: order.leaseId, handle, expiresAt: order.expiresAt }, signal());
      const second = await test.issuer.revoke({ leaseId: order.leaseId, handle, expiresAt: order.expiresAt }, signal());
      expect([first, second].every((answer) => answer === "revoked" || answer === "already_gone")).toBe(true);
    });

    it("revokes a lease of which it never made anything, by the lease's id alone", async () => {
      await using test = await start();
      if (test.waitsWithoutHandleMs !== undefined) return;
      expect(["revoked", "already_gone"]).toContain(
        await test.issuer.revoke({ leaseId: newId("lease", test.now()), handle: undefined, expiresAt: test.now() }, signal()),
      );
    });

    it("ends what it made when only the lease's id is left of it", async () => {
      await using test = await start();
      if (test.waitsWithoutHandleMs !== undefined) return;
      const order = orderFor(test);
      const { credential } = await test.issuer.issue(order, signal());
      await test.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, signal());
      if (test.issuer.revocation === "immediate") expect(await test.works?.(credential.token.reveal())).toBe(false);
    });

    it("calls nothing revoked that only time can end, and says until when", async () => {
      await using test = await start();
      if (test.waitsWithoutHandleMs === undefined) return;
      const now = test.now();
      const revoke = (lease: LeaseId): Promise<string> =>
        test.issuer.revoke({ leaseId: lease, handle: undefined, expiresAt: now }, signal());
      const failed: unknown = await revoke(newId("lease", now)).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(DiesByItself);
      expect(failed).toMatchObject({ deadAt: now + test.waitsWithoutHandleMs });
      expect(await revoke(newId("lease", now - test.waitsWithoutHandleMs))).toBe("already_gone");
    });

    it("lists what is alive, by lease id, where it can list at all", async () => {
      await using test = await start();
      if (test.issuer.list === undefined) return;
      const [kept, ended] = [orderFor(test), orderFor(test)];
      await test.issuer.issue(kept, signal());
      const { handle } = await test.issuer.issue(ended, signal());
      await test.issuer.revoke({ leaseId: ended.leaseId, handle, expiresAt: ended.expiresAt }, signal());
      const found: LeaseId[] = [];
      for await (const id of test.issuer.list(signal())) found.push(id);
      expect(found).toContain(kept.leaseId);
      expect(found).not.toContain(ended.leaseId);
    });

    it("renews without letting the old time stand in the way, where it can renew at all", async () => {
      await using test = await start();
      if (test.issuer.renew === undefined) return;
      const order = orderFor(test);
      const first = await test.issuer.issue(order, signal());
      const again = await test.issuer.renew({ ...order, jti: newId("evt", test.now()), expiresAt: order.expiresAt + 60_000 }, signal());
      if (again !== undefined) expect(again.credential.token.reveal()).not.toBe(first.credential.token.reveal());
    });
  });
}

/** An order for what is under test. */
export const orderFor = <P>(test: IssuerUnderTest<P>, more: Partial<IssueOrder<P>> = {}): IssueOrder<P> =>
  issueOrder(test.now, { params: test.issuer.params.parse(test.settings), ...more });

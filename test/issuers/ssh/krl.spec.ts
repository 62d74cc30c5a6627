import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { newId } from "../../../domain/ids.ts";
import { systemClock } from "../../../domain/time.ts";
import { sshSerial } from "../../../issuers/naming.ts";
import { writeKrl } from "../../../issuers/ssh/krl.ts";
import { makeKeyPair } from "../../../issuers/ssh/private-key.ts";
import { Reader } from "../../../issuers/ssh/wire.ts";
import { fakeClock } from "../../support/clock.ts";
import { targetPorts } from "../../support/target-ports.ts";
import { desk, fetched, issueWith, openSsh, withSsh } from "./support.ts";

const CA = makeKeyPair("ca").publicKey;
const OTHER = makeKeyPair("other").publicKey;
const LIST = 0x20;
const RANGE = 0x21;
const BITMAP = 0x22;
const TOP = (1n << 63n) - 1n;

const krl = (serials: readonly bigint[], more: Partial<Parameters<typeof writeKrl>[0]> = {}): Buffer =>
  writeKrl({ version: 7n, generatedAt: 1_700_000_000, comment: "stint:web", authorities: [CA], serials, ...more });

/** What a list says, read by hand: encodings in order, and every serial for each CA. */
function read(bytes: Buffer): { readonly encodings: readonly number[]; readonly serials: ReadonlyMap<string, readonly bigint[]> } {
  const reader = new Reader(bytes);
  expect(reader.take(8).toString("latin1")).toBe("SSHKRL\n\0");
  expect([reader.u32(), reader.u64(), reader.u64(), reader.u64()]).toEqual([1, 7n, 1_700_000_000n, 0n]);
  expect([reader.text(), reader.text()]).toEqual(["", "stint:web"]);
  const encodings: number[] = [];
  const serials = new Map<string, bigint[]>();
  while (reader.left > 0) {
    expect(reader.take(1)[0]).toBe(1);
    const section = new Reader(reader.string());
    const found: bigint[] = [];
    serials.set(section.string().toString("hex"), found);
    expect(section.text()).toBe("");
    while (section.left > 0) {
      const type = section.take(1)[0] ?? 0;
      encodings.push(type);
      found.push(...serialsOf(type, new Reader(section.string())));
    }
  }
  return { encodings, serials };
}

function serialsOf(type: number, data: Reader): readonly bigint[] {
  const found: bigint[] = [];
  if (type === LIST) while (data.left > 0) found.push(data.u64());
  if (type === RANGE) {
    const [first, last] = [data.u64(), data.u64()];
    found.push(...upTo(Number(last - first) + 1, first, 1n));
  }
  if (type === BITMAP) {
    const first = data.u64();
    const bits = BigInt(`0x${data.mpint().toString("hex")}`);
    for (let index = 0n; bits >> index > 0n; index++) if ((bits >> index) & 1n) found.push(first + index);
  }
  data.end();
  return found;
}

const sorted = (serials: Iterable<bigint>): readonly bigint[] => [...new Set(serials)].toSorted((a, b) => (a < b ? -1 : 1));
const upTo = (count: number, from: bigint, step: bigint): readonly bigint[] =>
  Array.from({ length: count }, (_, index) => from + BigInt(index) * step);

describe("a revocation list", () => {
  it("without serials is its header alone, which is a list and not an empty file", () => {
    expect(read(krl([])).serials.size).toBe(0);
    expect(krl([]).length).toBe(8 + 4 + 8 + 8 + 8 + 4 + 4 + "stint:web".length);
  });

  it.each([
    ["far from each other: as a list", upTo(1000, 5n, 1n << 40n), [LIST]],
    ["one after the other: as a range", upTo(1000, 1n << 62n, 1n), [RANGE]],
    ["every third: as a bitmap", upTo(1000, 77n, 3n), [BITMAP]],
    ["two that are close: as a list still", [1000n, 1001n], [LIST]],
    ["of all sorts: each in its own way", [...upTo(900, 1n, 1n), ...upTo(100, 1n << 50n, 2n), 1n << 61n, TOP], [LIST, RANGE, BITMAP]],
    ["a run with loose ends behind it: the run stays a range", [...upTo(5000, 1000n, 1n), 6010n, 6030n], [LIST, RANGE]],
  ])("writes serials that are %s", (_, serials, encodings) => {
    const list = read(krl(serials));
    expect(list.encodings).toEqual(encodings);
    expect(sorted(list.serials.get(CA.blob.toString("hex")) ?? [])).toEqual(sorted(serials));
  });

  it("says the same of each of its CAs", () => {
    const list = read(krl([5n, 9n], { authorities: [CA, OTHER] }));
    expect([...list.serials]).toEqual([CA, OTHER].map(({ blob }) => [blob.toString("hex"), [5n, 9n]]));
  });

  it("says exactly what it was given, whatever lies beside whatever", () => {
    const clustered = fc
      .tuple(fc.bigInt({ min: 1n, max: TOP - 100_000n }), fc.array(fc.bigInt({ min: 0n, max: 3000n }), { maxLength: 60 }))
      .map(([base, offsets]) => offsets.map((offset) => base + offset));
    fc.assert(
      fc.property(fc.array(clustered, { maxLength: 4 }), fc.array(fc.bigInt({ min: 1n, max: TOP }), { maxLength: 20 }), (near, far) => {
        const serials = [...near.flat(), ...far];
        const found = read(krl(serials)).serials.get(CA.blob.toString("hex")) ?? [];
        expect(found.length).toBe(new Set(serials).size);
        expect(sorted(found)).toEqual(sorted(serials));
      }),
    );
  });

  it("leaves out serial 0, with which OpenSSH refuses the whole list", () => {
    expect(krl([0n, 3n]).equals(krl([3n]))).toBe(true);
  });

  it("takes eight bytes for a serial of ours, and a fraction of a second for a hundred thousand", () => {
    const serials = Array.from({ length: 100_000 }, (_, index) => sshSerial(newId("lease", index)));
    const start = performance.now();
    const size = krl(serials).length;
    expect(performance.now() - start).toBeLessThan(3000);
    expect(size / serials.length).toBeLessThan(8.1);
  });
});

withSsh("ssh-keygen, asked whether a certificate is revoked,", () => {
  it("agrees on every serial of many lists of all encodings", async () => {
    await using files = await desk();
    const lists = fc.sample(
      fc.array(
        fc.record({
          base: fc.bigInt({ min: 1n, max: TOP - 100_000n }),
          count: fc.integer({ min: 1, max: 500 }),
          step: fc.bigInt({ min: 1n, max: 90n }),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      { numRuns: 12, seed: 4 },
    );
    for (const clusters of lists) {
      const serials = clusters.flatMap(({ base, count, step }) => upTo(count, base, step));
      const { code, out } = await files.keygen("-Q", "-l", "-f", await files.put("krl", krl(serials)));
      expect(code).toBe(0);
      const shown = [...out.matchAll(/^serial: (\d+)(?:-(\d+))?$/gm)].flatMap(([, first = "0", last = first]) =>
        upTo(Number(BigInt(last) - BigInt(first)) + 1, BigInt(first), 1n),
      );
      expect(sorted(shown)).toEqual(sorted(serials));
      expect(out).toContain("# KRL version 7");
    }
  });

  it("refuses the revoked ones and no other, out of thousands", async () => {
    await using files = await desk();
    const ports = targetPorts(systemClock);
    const issuer = openSsh({}, ports);
    for (let index = 0; index < 4000; index++)
      await ports.revoked.add(sshSerial(newId("lease", systemClock())).toString(), systemClock() + 60_000);
    const all = await Promise.all(Array.from({ length: 20 }, () => issueWith(issuer)));
    for (const { order } of all.slice(0, 10)) await issuer.revoke({ ...order, handle: undefined }, AbortSignal.timeout(1000));
    const list = await files.put("krl", await fetched(issuer, "krl"));
    const paths = await Promise.all(all.map(({ held }, index) => files.put(`${index}-cert.pub`, held.certificate)));
    const { code, out } = await files.keygen("-Q", "-f", list, ...paths);
    expect(code).toBe(1);
    const verdicts = out
      .trim()
      .split("\n")
      .map((line) => line.replace(/^.*: /, ""));
    expect(verdicts).toEqual([...Array.from({ length: 10 }, () => "REVOKED"), ...Array.from({ length: 10 }, () => "ok")]);
  });

  it("takes a list in which nothing is revoked", async () => {
    await using files = await desk();
    const issuer = openSsh();
    const list = await files.put("krl", await fetched(issuer, "krl"));
    const { held } = await issueWith(issuer);
    expect(await files.keygen("-Q", "-f", list, await files.put("id-cert.pub", held.certificate))).toMatchObject({ code: 0 });
  });
});

describe("the published list", () => {
  const clock = fakeClock();
  it("is made anew when something in it changes, and only then", async () => {
    const ports = targetPorts(clock);
    const issuer = openSsh({}, ports);
    const signal = AbortSignal.timeout(5000);
    const first = await fetched(issuer, "krl");
    expect(await fetched(issuer, "krl")).toBe(first);
    await issuer.revoke({ leaseId: newId("lease", clock()), handle: undefined, expiresAt: clock() + 60_000 }, signal);
    const second = await fetched(issuer, "krl");
    expect(version(second)).toBe(version(first) + 1n);
    await issuer.rotate?.(signal);
    const third = await fetched(issuer, "krl");
    expect(version(third)).toBe(version(second) + 1n);
    clock.advance({ minutes: 7 });
    expect(version(await fetched(issuer, "krl"))).toBe(version(third) + 1n);
    expect(ports.listed.size).toBe(0);
  });
});

const version = (bytes: Uint8Array): bigint => Buffer.from(bytes).readBigUInt64BE(12);

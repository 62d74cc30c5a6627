import { afterEach, describe, expect, it } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holderOf, takeLock } from "../../../store/embedded/lock.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function lockFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stint-lock-"));
  folders.push(folder);
  return join(folder, "broker.lock");
}

/** The kernel's lock, and the stand-in for machines without `flock`. */
describe.each([
  { name: "by flock", flock: "flock" },
  { name: "without flock", flock: "/no/such/program" },
])("a lock on a file, $name", ({ flock }) => {
  it("is held by one until released, and names its holder", async () => {
    const path = await lockFile();
    const first = await takeLock(path, flock);
    expect(first).toBeDefined();
    expect(holderOf(path)).toBe(process.pid);
    expect(await takeLock(path, flock)).toBeUndefined();
    first?.release();
    const second = await takeLock(path, flock);
    expect(second).toBeDefined();
    second?.release();
  });

  it("is taken by exactly one of many who try at once", async () => {
    const path = await lockFile();
    const locks = await Promise.all(Array.from({ length: 12 }, () => takeLock(path, flock)));
    const taken = locks.filter((lock) => lock !== undefined);
    expect(taken.length).toBe(1);
    taken[0]?.release();
  });

  it("is free when its holder is dead, whatever the file says", async () => {
    const path = await lockFile();
    await writeFile(path, "999999999\n");
    await writeFile(`${path}.pid`, "999999999\n");
    const lock = await takeLock(path, flock);
    expect(lock).toBeDefined();
    lock?.release();
  });
});

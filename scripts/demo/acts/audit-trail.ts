import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { act, assert, command, narrate, show, Untrue } from "../stage.ts";
import type { World } from "../world.ts";

/** What has happened so far is on record, and nobody can change the record unseen. */
export async function audit(world: World): Promise<void> {
  act(8, "All of it is on the audit trail");
  await pause(1500); // the exporter moves records to files once a second
  await cp(join(world.auditDir, "checkpoint-keys"), join(world.folder, "kept-keys"));
  command("stint audit verify data/audit --key kept-keys");
  const ran = await world.operator(["audit", "verify", "data/audit", "--key", "kept-keys"]);
  show(ran.out + ran.err);
  assert("the chain is whole and its checkpoints are signed", ran.code === 0, ran);
  const copy = join(world.folder, "tampered");
  await cp(world.auditDir, copy, { recursive: true });
  await tamper(copy);
  narrate("Now with one word changed in a copy:");
  command("stint audit verify tampered --key kept-keys");
  const caught = await world.operator(["audit", "verify", "tampered", "--key", "kept-keys"]);
  show(caught.out + caught.err, 6);
  assert("the change is found: exit code 9", caught.code === 9, caught);
}

/** Turns the first refusal on record into a success. */
async function tamper(folder: string): Promise<void> {
  for (const file of await readdir(folder, { recursive: true })) {
    const text = await readFile(join(folder, file), "utf8").catch(() => "");
    if (!text.includes('"decision":"deny"')) continue;
    await writeFile(join(folder, file), text.replace('"decision":"deny"', '"decision":"allow"'));
    return;
  }
  throw new Untrue("not so: a refusal is on the audit trail");
}

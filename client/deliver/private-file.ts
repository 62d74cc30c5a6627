import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm } from "node:fs/promises";

const NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Whole or not at all, never readable by others. What stood at the path before, link or file, is replaced, not followed. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await createPrivateFile(beside, text);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** Owner only; a new file, never through a link that somebody put there. */
export async function createPrivateFile(path: string, text: string): Promise<void> {
  const file = await open(path, NEW, 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

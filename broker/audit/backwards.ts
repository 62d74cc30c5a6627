import { open } from "node:fs/promises";

const CHUNK = 64 * 1024;
const NEWLINE = 10;

/** Whole lines of a file, last one first, from a byte backwards; each with the byte it begins at. One chunk in memory at a time. */
export async function* backwards(path: string, end: number): AsyncGenerator<{ readonly text: string; readonly offset: number }> {
  const handle = await open(path, "r");
  try {
    let start = Math.min(end, (await handle.stat()).size);
    let rest: Buffer = Buffer.alloc(0);
    let torn = true; // what stands behind the last newline is not a line yet
    while (start > 0) {
      const length = Math.min(CHUNK, start);
      start -= length;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
      let data = Buffer.concat([buffer.subarray(0, bytesRead), rest]);
      for (let newline = data.lastIndexOf(NEWLINE); newline >= 0; newline = data.lastIndexOf(NEWLINE)) {
        if (!torn) yield { text: data.toString("utf8", newline + 1), offset: start + newline + 1 };
        torn = false;
        data = data.subarray(0, newline);
      }
      rest = data;
    }
    if (rest.length > 0 && !torn) yield { text: rest.toString("utf8"), offset: 0 };
  } finally {
    await handle.close();
  }
}

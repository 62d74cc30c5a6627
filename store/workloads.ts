import { bucketOfSubject } from "../domain/ids.ts";
import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";

/**
 * The subjects that a workload selector stands for: every subject that bore the display name within the last eight days (no lease
 * lives longer than one), and the text itself when it is a subject.
 */
export async function subjectsOf(runner: Runner, workload: string): Promise<readonly string[]> {
  const replies = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => pipe.smembers(`${placeKey(bucket)}:wn:${workload}`));
  const subjects = new Set(replies.flatMap(([members]) => members as string[]));
  // Always itself too: whoever may choose a display name must not hide a subject behind it.
  if (workload.includes(":") || (await isSubject(runner, workload))) subjects.add(workload);
  return [...subjects];
}

async function isSubject(runner: Runner, text: string): Promise<boolean> {
  const key = `${placeKey(bucketOfSubject(text))}:w:${text}`;
  return (await runner.ask((client) => client.exists(key))) === 1;
}

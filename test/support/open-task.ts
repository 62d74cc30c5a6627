import { openShop, type Shop } from "./shop.ts";

/** What the broker answered: a credential, or whatever else was asked for. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> & { readonly credential: Readonly<Record<string, string>> };
}

/** A shop with one task that is open, spoken to over HTTP as its workload does. */
export interface OpenTask {
  readonly shop: Shop;
  readonly task: { readonly task: string; readonly task_token: string };
  /** POSTs JSON with this bearer. */
  send(path: string, body: unknown, bearer: string): Promise<Answer>;
  /** Asks for a credential under the task. */
  credential(grant: string, options?: object): Promise<Answer>;
}

/** Opens both; the shop is the caller's to dispose. */
export async function openTask(settings: Parameters<typeof openShop>[0]): Promise<OpenTask> {
  const shop = await openShop(settings);
  const send = async (path: string, body: unknown, bearer: string): Promise<Answer> => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${bearer}` };
    const response = await fetch(`${shop.broker.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, body: (await response.json()) as Answer["body"] };
  };
  const task = (await send("/v1/tasks", {}, (await shop.evidence()).reveal())).body as unknown as OpenTask["task"];
  const credential = (grant: string, options?: object): Promise<Answer> =>
    send(`/v1/tasks/${task.task}/credentials`, { grant, ...(options !== undefined && { options }) }, task.task_token);
  return { shop, task, send, credential };
}

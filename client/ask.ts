import type { CredentialView } from "../domain/wire.ts";
import type { BrokerClient, CallOptions, CredentialRequest, Speaker } from "./broker-client.ts";
import { credentialOf } from "./credential.ts";
import { BrokerError } from "./errors.ts";

/** An answer, with the token of the task it is under. */
export type Given = CredentialView & { readonly task_token: string };

/**
 * One credential for whoever has no task in hand. In one trip (RFC 8693) where it is a token; what is none, or takes options, is
 * asked for under the task that the evidence belongs to, or one of its own.
 */
export async function askOnce(broker: BrokerClient, who: Speaker, request: CredentialRequest, call: CallOptions = {}): Promise<Given> {
  if (request.options === undefined) {
    try {
      return credentialOf(request.grant, await broker.exchange(who, request, call));
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== "not_a_token") throw error;
    }
  }
  const { purpose } = request;
  const { task, task_token } = await broker.openTask(who, purpose === undefined ? {} : { purpose }, call);
  return { ...(await broker.credential(task, task_token, request, call)), task_token };
}

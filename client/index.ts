/** Ask for credentials, hold them for one task, and let them die with it. */
export { createClient, type ClientOptions, type Stint, type TaskOptions } from "./stint.ts";
export { autoIdentity, fixedIdentity, type Identity, type IdentityOptions } from "./identity.ts";
export { Task, type CredentialOptions, type TaskOutcome } from "./task.ts";
export { Credential } from "./lease.ts";
export { CREDENTIAL_FORMATS, type CredentialFormat } from "./deliver/formats.ts";
export { UnsuitableError } from "./deliver/unsuitable.ts";
export type { CredentialMaterial } from "../domain/wire.ts";
export { BrokerClient, type CredentialRequest } from "./broker-client.ts";
export { OperatorClient } from "./operator-client.ts";
export { BrokerError, DeniedError, GoneError, IdentityError, InvalidRequestError, LockedError, UnreachableError } from "./errors.ts";

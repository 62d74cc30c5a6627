/**
 * Every body and query of the HTTP outside, once: the broker parses with these, the client takes its types from them, and
 * OpenAPI is generated from them. Objects are strict; every text and list has a limit. Names with `View` are answers.
 */
export * from "./wire/common.ts";
export * from "./wire/oauth.ts";
export * from "./wire/credential.ts";
export * from "./wire/tasks.ts";
export * from "./wire/leases.ts";
export * from "./wire/revocations.ts";
export * from "./wire/operator.ts";
export * from "./wire/targets.ts";
export * from "./wire/policy.ts";
export * from "./wire/authorize.ts";
export * from "./wire/feed.ts";

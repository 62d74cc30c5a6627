/** Stint as a library: a broker to embed, and the words of its services. `stint serve` is `main.ts`. */
export { createBroker, UnusableConfiguration, type Broker, type BrokerOptions } from "./compose.ts";
export { readConfig, ConfigError, type Config } from "./config.ts";
export type * from "./services.ts";

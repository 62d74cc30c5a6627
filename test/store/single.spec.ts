import { storeContract } from "../contract/store-contract.ts";
import { startRedis } from "../support/redis.ts";

storeContract("one Redis", () => startRedis());

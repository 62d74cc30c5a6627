import { storeContract } from "../contract/store-contract.ts";
import { startSentinel } from "../support/sentinel.ts";

storeContract("a primary with replicas behind Sentinel", () => startSentinel());

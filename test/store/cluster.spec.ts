import { storeContract } from "../contract/store-contract.ts";
import { startCluster } from "../support/cluster.ts";

storeContract("a Cluster of three primaries", () => startCluster());
storeContract("a Cluster of three primaries with a replica each", () => startCluster({ replicas: 1 }));

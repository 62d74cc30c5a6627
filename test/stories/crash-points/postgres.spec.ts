import { ENDING } from "../../support/crash/ending.ts";
import { HOUSE } from "../../support/crash/house.ts";
import { ISSUING } from "../../support/crash/issuing.ts";
import { postgresCrashTarget } from "../../support/crash/postgres-target.ts";
import { tell } from "../../support/crash/tell.ts";

tell(
  "a real Postgres",
  postgresCrashTarget,
  [...ISSUING, ...ENDING, ...HOUSE].filter(({ atTarget }) => atTarget),
);

import { fencedFile } from "../../support/crash/file-target.ts";
import { HOUSE } from "../../support/crash/house.ts";
import { tell } from "../../support/crash/tell.ts";
import { TELLING } from "../../support/crash/telling.ts";

tell("a fenced file", async () => fencedFile(), [...TELLING, ...HOUSE]);

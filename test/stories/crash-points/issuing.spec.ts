import { fencedFile } from "../../support/crash/file-target.ts";
import { ISSUING } from "../../support/crash/issuing.ts";
import { tell } from "../../support/crash/tell.ts";

tell("a fenced file", async () => fencedFile(), ISSUING);

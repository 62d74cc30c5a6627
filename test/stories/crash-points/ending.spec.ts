import { ENDING } from "../../support/crash/ending.ts";
import { fencedFile } from "../../support/crash/file-target.ts";
import { tell } from "../../support/crash/tell.ts";

tell("a fenced file", async () => fencedFile(), ENDING);

import { describe, expect, it } from "@jest/globals";
import { parseEnv } from "node:util";
import { readConfig } from "../../../broker/config.ts";
import { VARIABLES } from "../../../broker/config/environment.ts";
import { renderEnvExample, renderReference } from "../../../broker/config/reference.ts";
import { outOfStep } from "../../../scripts/generate-docs.ts";

describe("what is made from code", () => {
  it("is in step with it", async () => {
    expect(await outOfStep()).toEqual([]);
  });

  it("names every variable, in the example and in the reference", () => {
    for (const { name } of VARIABLES) {
      expect(renderEnvExample()).toContain(`\n#${name}=`);
      expect(renderReference()).toContain(`| \`${name}\``);
    }
  });

  it("gives as examples the very defaults that the code uses", () => {
    const example = parseEnv(renderEnvExample().replaceAll(/^#(STINT_)/gm, "$1"));
    const outside = { cwd: "/srv", isTerminal: false };
    expect(readConfig(example, outside)).toEqual(readConfig({}, outside));
  });
});

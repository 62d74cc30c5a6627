import { describe, it } from "@jest/globals";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** A `describe` whose specs are handed the program that they run. */
export type DescribeWith<Found> = (title: string, specs: (found: Found) => void) => void;

/**
 * For specs of a real program that `npm test` fetches where it is missing. Where it is missing all the same, a failing spec in their
 * place says what helps; with STINT_TEST_OFFLINE, which forbids to fetch anything, a skipped one does.
 */
export function describeWith<Found>(name: string, found: Found | undefined): DescribeWith<Found> {
  if (found !== undefined) return (title, specs) => describe(title, () => specs(found));
  if (process.env["STINT_TEST_OFFLINE"]) {
    console.warn(`SKIPPED: there is no ${name} here, and STINT_TEST_OFFLINE forbids to fetch it`);
    return (title) => describe(title, () => it.skip(`needs ${name}`, () => undefined));
  }
  const help = `there is no ${name} here: npm test fetches it where apt-get is; install it, or skip its specs with STINT_TEST_OFFLINE=1`;
  return (title) =>
    describe(title, () =>
      it(`needs ${name}`, () => {
        throw new Error(help);
      }),
    );
}

/** `describe` and `it`, or what skips in their place. */
export interface Specs {
  readonly describe: typeof describe | typeof describe.skip;
  readonly it: typeof it.skip;
}

/** For specs of what not every machine has, and nobody fetches: where it is not `here` they are skipped, and `missing` says why. */
export function specsIf(here: boolean, missing: string): Specs {
  if (here) return { describe, it };
  console.warn(`SKIPPED: ${missing}`);
  return { describe: describe.skip, it: it.skip };
}

/** The same of a program. */
export const ifPresent = (program: string): Specs => specsIf(isPresent(program), `there is no ${program} on this machine`);

function isPresent(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

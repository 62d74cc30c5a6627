import { constants } from "node:os";
import { parseArgs } from "node:util";
import { audit } from "./demo/acts/audit-trail.ts";
import { byItself } from "./demo/acts/by-itself.ts";
import { ciJob, leak, pullRequest } from "./demo/acts/ci-job.ts";
import { leftAlone, swept } from "./demo/acts/left-alone.ts";
import { realSystems } from "./demo/acts/real-systems.ts";
import { responder } from "./demo/acts/responder.ts";
import { assert, asserted, command, say, show, Untrue } from "./demo/stage.ts";
import { startSystems, type Systems } from "./demo/systems.ts";
import { buildWorld, type World } from "./demo/world.ts";

// The story of Stint on real parts. Every line with a tick is asserted; the first one that is not so ends it with exit code 1.

const USAGE = `npm run demo -- [--all] [--keep]

  --all   two acts more, with a real Postgres and a real sshd
  --keep  leave it running and print the addresses`;

interface Wishes {
  readonly all: boolean;
  readonly keep: boolean;
}

/** Undefined where something else was asked. */
function wishes(): Wishes | undefined {
  try {
    return parseArgs({ options: { all: { type: "boolean", default: false }, keep: { type: "boolean", default: false } } }).values;
  } catch {
    return undefined;
  }
}

/** The exit code that a signal asks for, once one has come. A second one is not waited for. */
const interrupted = new Promise<number>((resolve) => {
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => resolve(128 + constants.signals[name]));
});

async function main(): Promise<number> {
  const asked = wishes();
  if (asked === undefined) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  // what a signal has ended fails wherever it was used
  return play(asked).catch(async (error: unknown) => {
    const code = await interruption();
    if (code === undefined) throw error;
    return code;
  });
}

/** Undefined as long as no signal has come. */
const interruption = (): Promise<number | undefined> => Promise.race([interrupted, Promise.resolve(undefined)]);

async function play({ all, keep }: Wishes): Promise<number> {
  const started = performance.now();
  say(
    `Stint in ${all ? "ten" : "eight"} acts. All of it is real: a broker, a Redis, ${all ? "a Postgres, an sshd, " : ""}two APIs, an identity provider that signs.`,
  );
  await using systems = all ? await startSystems((text) => say(`   ${text}`)) : undefined;
  await using world = await buildWorld(systems);
  const code = await Promise.race([tell(world, systems), interrupted]);
  if (code !== 0) return code;
  say(`\nThat was it: ${asserted()} things asserted in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
  if (keep) {
    sayAddresses(world);
    await interrupted;
  }
  return 0;
}

async function tell(world: World, systems: Systems | undefined): Promise<number> {
  try {
    await pullRequest(world);
    const leaked = await ciJob(world);
    await leak(world, leaked);
    const alone = await leftAlone(world);
    await byItself(world);
    await swept(world, alone);
    await responder(world);
    await audit(world);
    if (systems !== undefined) await realSystems(world, systems);
    await nothingLeft(world);
    return 0;
  } catch (error) {
    if (!(error instanceof Untrue) || (await interruption()) !== undefined) throw error;
    say(`   ✗ ${error.message}`);
    return 1;
  }
}

async function nothingLeft(world: World): Promise<void> {
  say();
  command("stint lease ls --json   # every lease that has not ended");
  const ran = await world.operator(["lease", "ls", "--json"]);
  show(ran.out);
  assert("no credential is left alive", ran.code === 0 && ran.out.includes('"items":[]'), ran);
}

function sayAddresses(world: World): void {
  say("\nStill running; Ctrl-C ends it.");
  say(`   broker      ${world.url}`);
  say(`   metadata    ${world.url}/.well-known/oauth-authorization-server`);
  say(`   OpenAPI     ${world.url}/openapi.json`);
  say(`   deploy API  ${world.api.url} (asks the broker about each token)`);
  say(`   ship API    ${world.ship.url} (checks tokens by itself)`);
  say(`   identity    ${world.idp.issuer}`);
  say(`   admin       STINT_URL=${world.url} STINT_OPERATOR_TOKEN=${world.adminToken} npx stint audit query`);
}

process.exit(await main());

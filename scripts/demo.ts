import { audit } from "./demo/acts/audit-trail.ts";
import { byItself } from "./demo/acts/by-itself.ts";
import { ciJob, leak, pullRequest } from "./demo/acts/ci-job.ts";
import { leftAlone, swept } from "./demo/acts/left-alone.ts";
import { realSystems } from "./demo/acts/real-systems.ts";
import { responder } from "./demo/acts/responder.ts";
import { asserted, say, Untrue } from "./demo/stage.ts";
import { startSystems } from "./demo/systems.ts";
import { buildWorld, type World } from "./demo/world.ts";

// The story of Stint on real parts. Every line with a tick is asserted; the first one that is not so ends it with exit code 1.

async function main(): Promise<number> {
  const started = performance.now();
  const all = process.argv.includes("--all");
  say(
    `Stint in ${all ? "ten" : "eight"} acts. All of it is real: a broker, a Redis, ${all ? "a Postgres, an sshd, " : ""}an API, an identity provider that signs.`,
  );
  await using systems = all ? await startSystems((text) => say(`   ${text}`)) : undefined;
  await using world = await buildWorld(systems);
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
  } catch (error) {
    if (!(error instanceof Untrue)) throw error;
    say(`   ✗ ${error.message}`);
    return 1;
  }
  say(
    `\nThat was it: ${asserted()} things asserted in ${((performance.now() - started) / 1000).toFixed(1)} s, and no credential is left alive.`,
  );
  if (process.argv.includes("--keep")) await keep(world);
  return 0;
}

async function keep(world: World): Promise<void> {
  say("\nStill running; Ctrl-C ends it.");
  say(`   broker      ${world.url}`);
  say(`   metadata    ${world.url}/.well-known/oauth-authorization-server`);
  say(`   OpenAPI     ${world.url}/openapi.json`);
  say(`   deploy API  ${world.api.url} (asks the broker about each token)`);
  say(`   ship API    ${world.ship.url} (checks tokens by itself)`);
  say(`   identity    ${world.idp.issuer}`);
  say(`   admin       STINT_URL=${world.url} STINT_OPERATOR_TOKEN=${world.adminToken} npx stint lease ls`);
  const forever = setInterval(() => undefined, 60_000);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
  clearInterval(forever);
}

process.exitCode = await main();

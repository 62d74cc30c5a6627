/** Stands in for a broker in a process of its own, so that it can be killed: starts the embedded Redis and says where. */
import { startEmbeddedRedis } from "../../store/embedded/launch.ts";

const [dataDir = ""] = process.argv.slice(2);
const say = (event: string, facts: object): boolean => process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
const log = {
  info: (_: object, message: string) => void say("log", { message }),
  warn: (_: object, message: string) => void say("log", { message }),
  error: (_: object, message: string) => void say("log", { message }),
};
try {
  const redis = await startEmbeddedRedis({ dataDir, log, searchPath: process.env["PATH"] });
  redis.onExit((exit) => say("exit", exit));
  process.on("SIGTERM", () => void redis.stop().then(() => process.exit(0)));
  say("ready", { socketPath: redis.socketPath });
} catch (error) {
  say("refused", { name: error instanceof Error ? error.name : "", message: error instanceof Error ? error.message : "" });
  process.exit(error instanceof Error && "exitCode" in error ? Number(error.exitCode) : 1);
}

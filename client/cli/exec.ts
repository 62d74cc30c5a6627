import { constants } from "node:os";
import type { ReceiptView } from "../../domain/wire.ts";
import type { CredentialRequest } from "../broker-client.ts";
import { BrokerError, GoneError } from "../errors.ts";
import type { Credential } from "../lease.ts";
import { writePrivateFile } from "../deliver/private-file.ts";
import { createTask } from "../stint.ts";
import type { Task, TaskOutcome } from "../task.ts";
import { span, type Context } from "./context.ts";
import { EXIT, UsageError } from "./exit-codes.ts";
import { childEnvironment } from "./exec/child-environment.ts";
import { start, type Started } from "./exec/child.ts";
import { isReadAnew, Outfit } from "./exec/outfit.ts";
import { Refresher } from "./exec/refresher.ts";
import { Signals } from "./exec/signals.ts";
import { parseWishes, type Wish } from "./exec/wishes.ts";
import { fail } from "./fail.ts";
import { deadByText, receiptLine } from "./receipt.ts";
import { asked, optionsByGrant, type AskOptions } from "./asked.ts";
import { clean, note } from "./screen.ts";
import { clockTime } from "./times.ts";

interface Options extends AskOptions {
  readonly for?: readonly string[];
  readonly file?: readonly string[];
  readonly option?: readonly string[];
  readonly generateKey?: readonly string[];
  readonly heartbeat: string;
  readonly outcome: "auto" | TaskOutcome;
  readonly report?: string;
  readonly keepEnv?: boolean;
  readonly keepTask?: boolean;
  readonly mask: boolean;
}

/** How long completing may take on the way out, in milliseconds. */
const COMPLETE_MS = 2000;

/** `stint exec --for GRANT=VARIABLE -- COMMAND` */
export async function run(context: Context, options: Options, [command = "", ...args]: readonly string[]): Promise<number> {
  const wishes = parseWishes(options.for ?? [], options.file);
  if (wishes.length === 0) throw new UsageError("which credentials?", "Give --for GRANT or --file VARIABLE=GRANT.");
  const asks = await plan(wishes, options);
  span(options.heartbeat, "--heartbeat");
  using signals = new Signals();
  await using outfit = new Outfit(context);
  using refresher = new Refresher(context.clock);
  let task: Task | undefined;
  try {
    task = await open(context, options, command, signals);
    for (const ask of asks) {
      const given = await credential(task, ask, outfit, signals);
      outfit.take(ask.wish, given);
      keepFresh(context, refresher, task, ask, given, outfit, signals);
    }
    const { variables, secrets } = await outfit.prepare();
    signals.aborted.throwIfAborted();
    const env = options.keepEnv === true ? childEnvironment(context.env, variables, () => false) : childEnvironment(context.env, variables);
    const child = start(command, args, env, options.mask ? secrets : [], context.screen);
    void child.exited.then(() => refresher[Symbol.dispose]());
    return await attend(context, options, task, child, signals);
  } catch (error) {
    return await giveUp(context, error, task, signals);
  }
}

interface Ask {
  readonly wish: Wish;
  readonly request: CredentialRequest;
  readonly makesKey: boolean;
}

/** Every request, with whatever it takes checked before anything is sent. */
async function plan(wishes: readonly Wish[], options: Options): Promise<readonly Ask[]> {
  const beside = await optionsByGrant(
    options.option,
    wishes.map(({ grant }) => grant),
  );
  const strange = options.generateKey?.find((name) => !wishes.some(({ grant }) => grant === name));
  if (strange !== undefined) throw new UsageError(`--generate-key ${clean(strange)}: no credential of that grant is asked for`);
  return wishes.map((wish) => ({
    wish,
    request: asked(wish.grant, options, beside.get(wish.grant)),
    makesKey: options.generateKey?.includes(wish.grant) === true,
  }));
}

async function open(context: Context, options: Options, command: string, signals: Signals): Promise<Task> {
  return await createTask(context.broker, context.identity(), options.purpose ?? `exec ${basename(command)}`, {
    // A task that is kept must not end because this process did.
    ...(options.keepTask === true ? {} : { heartbeat: options.heartbeat }),
    signal: signals.aborted,
    onHeartbeatLost: (error) => {
      if (error instanceof GoneError)
        note(context.screen, `✗ stint: the task was ended by the broker; its credentials are dead (${clean(error.message)})`);
    },
  });
}

async function credential(task: Task, { wish, request, makesKey }: Ask, outfit: Outfit, signals: Signals): Promise<Credential> {
  try {
    const { grant, options, ...rest } = request;
    const beside = makesKey ? { ...options, ...(await outfit.keyFor(grant)) } : options;
    return await task.credential(grant, { ...rest, ...(beside === undefined ? {} : { options: beside }), signal: signals.aborted });
  } catch (error) {
    throw new GrantFailure(wish.grant, error);
  }
}

/** What the command reads from a file of its own is replaced there before it ends. */
function keepFresh(
  context: Context,
  refresher: Refresher,
  task: Task,
  ask: Ask,
  given: Credential,
  outfit: Outfit,
  signals: Signals,
): void {
  if (!ask.wish.ways.some((way) => isReadAnew(way, { credential: given.material }))) return;
  refresher.keep(given, {
    again: () => credential(task, ask, outfit, signals),
    replace: (later) => outfit.replace(ask.wish, later),
    lost: ({ expiresAt }, error) => {
      const cause = error instanceof GrantFailure ? error.cause : error;
      const why = cause instanceof BrokerError ? cause.message : "failed";
      note(
        context.screen,
        `! stint: no later ${ask.wish.grant} (${clean(why)}): it ends at ${clockTime(expiresAt.toISOString(), context.clock())}`,
      );
    },
  });
}

class GrantFailure extends Error {
  readonly grant: string;
  constructor(grant: string, cause: unknown) {
    super(grant, { cause });
    this.grant = grant;
  }
}

/** Waits for the command, then ends the task. Signals go on to it until it has exited; after that one more skips completing. */
async function attend(context: Context, options: Options, task: Task, child: Started, signals: Signals): Promise<number> {
  signals.forward((signal) => child.kill(signal));
  const ended = await child.exited;
  const skip = signals.settle();
  if (ended.failed !== undefined) note(context.screen, `✗ stint: ${clean(ended.failed)}`);
  const automatic = ended.failed !== undefined || ended.signal !== undefined ? "cancelled" : ended.code === 0 ? "success" : "failure";
  const ending =
    options.keepTask === true
      ? release(context, task, skip)
      : complete(context, task, options.outcome === "auto" ? automatic : options.outcome, skip);
  const [receipt] = await Promise.all([ending, child.drained()]);
  if (receipt !== undefined && options.report !== undefined)
    await writePrivateFile(options.report, `${JSON.stringify({ schema: "receipt/v1", ...receipt })}\n`).catch(
      (error: unknown) => void fail(context.screen, error),
    );
  return ended.code;
}

/** The receipt, or a line that says what stays alive and until when. */
async function complete({ screen, clock }: Context, task: Task, outcome: TaskOutcome, skip: AbortSignal): Promise<ReceiptView | undefined> {
  task.stopHeartbeats();
  try {
    const receipt = await task.complete(outcome, { by: "exit", signal: skip, timeoutMs: COMPLETE_MS });
    note(screen, receiptLine(receipt, clock(), screen));
    return receipt;
  } catch (error) {
    const why = skip.aborted ? "skipped" : error instanceof BrokerError ? clean(error.message) : "failed";
    note(
      screen,
      `! stint: ${task.id} was not completed (${why}): the broker ends it when heartbeats stay away${deadByText(task.lastDeadBy, clock())}`,
    );
    return undefined;
  }
}

/** Ends these credentials only: later steps of this run may ask for their own. */
async function release(context: Context, task: Task, skip: AbortSignal): Promise<undefined> {
  const released = await Promise.allSettled(task.credentials.map((one) => one.release({ signal: skip, timeoutMs: COMPLETE_MS })));
  const failed = released.filter((one) => one.status === "rejected").length;
  if (failed === 0) note(context.screen, `✓ ${released.length} released; ${task.id} stays open: end it with stint complete`);
  else
    note(context.screen, `! stint: ${failed} of ${released.length} could not be released${deadByText(task.lastDeadBy, context.clock())}`);
}

/** The command never started: 125, or 128+n when a signal was the reason. What was issued dies now. */
async function giveUp(context: Context, error: unknown, task: Task | undefined, signals: Signals): Promise<number> {
  const about = error instanceof GrantFailure ? error.grant : "";
  const cause = error instanceof GrantFailure ? error.cause : error;
  const signal = signals.received;
  if (cause instanceof GoneError && cause.code === "task_ended")
    note(context.screen, "  an earlier stint exec or complete of this run has ended its task; give the earlier ones --keep-task");
  if (signal === undefined) fail({ ...context.screen, errTty: false }, cause, about, context.env);
  if (task !== undefined) await complete(context, task, "cancelled", signals.settle());
  return signal === undefined ? EXIT.broker : 128 + constants.signals[signal];
}

const basename = (path: string): string => clean(path.slice(path.lastIndexOf("/") + 1)).slice(0, 200);

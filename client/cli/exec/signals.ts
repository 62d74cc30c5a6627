import { closeSync, openSync } from "node:fs";

/** The signals of one run: they abort what waits for the broker, then go on to the command, then skip completing. */
export class Signals implements Disposable {
  readonly #starting = new AbortController();
  readonly #settling = new AbortController();
  readonly #terminal = onTerminal();
  #to: ((signal: NodeJS.Signals) => void) | undefined;
  #settled = false;
  received: NodeJS.Signals | undefined;

  constructor() {
    for (const signal of HANDLED) process.on(signal, this.#take);
  }

  /** Aborts when a signal comes before the command runs. */
  get aborted(): AbortSignal {
    return this.#starting.signal;
  }

  forward(to: (signal: NodeJS.Signals) => void): void {
    this.#to = to;
  }

  /** From here on an interrupt skips what is left. One that the command already had does not count. */
  settle(): AbortSignal {
    this.#settled = true;
    return this.#settling.signal;
  }

  readonly #take = (signal: NodeJS.Signals): void => {
    this.received ??= signal;
    if (this.#settled) {
      // Completing takes two seconds at most: only a person's impatience cuts it short.
      if (signal === "SIGINT") this.#settling.abort();
      return;
    }
    if (this.#to === undefined) return this.#starting.abort();
    const fromKeyboard = this.#terminal && (signal === "SIGINT" || signal === "SIGQUIT");
    if (!fromKeyboard) this.#to(signal);
  };

  [Symbol.dispose](): void {
    for (const signal of HANDLED) process.off(signal, this.#take);
  }
}

const HANDLED: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"];

/**
 * Whether this process has a terminal. Then Ctrl-C reaches the command from the kernel already, and sending it again would be
 * the second one, which many programs take for "abort now".
 */
function onTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

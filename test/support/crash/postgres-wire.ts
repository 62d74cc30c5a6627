import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";

/** A statement of a broker's that is held on its way to a Postgres, or whose answer is. */
export interface HeldStatement {
  readonly reached: Promise<void>;
  /** The text, once it is reached. */
  text(): string;
  deliver(): void;
  /** The asker's end closes. What was sent is on its way all the same. */
  cut(): void;
  /** Instead of the server's answer the asker gets an error. Not delivered before, it never arrives. */
  refuse(): void;
}

/** The wire between one broker and a Postgres, frame by frame. */
export interface PostgresWire extends AsyncDisposable {
  readonly port: number;
  /** The next statement that contains this: held before it reaches the server, or the server's answer to it is. */
  hold(containing: string, at: "statement" | "answer"): HeldStatement;
  /** The next statement that contains this passes; it can be cut off while it is executed. */
  note(containing: string): HeldStatement;
  /** The asker's process is gone. */
  die(): void;
}

interface Plan {
  readonly containing: string;
  readonly at: "statement" | "answer" | "nothing";
  arrive(line: Line, text: string): Promise<"deliver" | "refuse">;
}

/** One connection. */
interface Line {
  readonly near: Socket;
  readonly far: Socket;
  answer: Plan | undefined;
}

export async function startPostgresWire(to: number): Promise<PostgresWire> {
  const lines = new Set<Line>();
  let plans: Plan[] = [];
  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    const line: Line = { near, far, answer: undefined };
    lines.add(line);
    for (const socket of [near, far]) socket.on("error", () => undefined);
    let going = Promise.resolve();
    let coming = Promise.resolve();
    // What was sent arrives even when its sender is gone; then the server hears that it is.
    near.on("close", () => void going.then(() => far.end()));
    far.on("close", () => {
      lines.delete(line);
      void coming.then(() => near.destroy());
    });

    const statement = async (frame: Buffer): Promise<void> => {
      const text = frame.toString("latin1");
      const found = /^[QP]/.test(text) ? plans.find(({ containing }) => text.includes(containing)) : undefined;
      if (found !== undefined) plans = plans.filter((each) => each !== found);
      if (found?.at === "nothing") void found.arrive(line, sqlOf(frame));
      if (found?.at === "statement" && (await found.arrive(line, sqlOf(frame))) === "refuse") return void near.write(ERROR);
      if (found?.at === "answer") {
        line.answer = found;
        sql = sqlOf(frame);
      }
      if (!far.destroyed) far.write(frame);
    };
    let sql = "";
    const pieces = framed((frame) => void (going = going.then(() => statement(frame))));
    near.on("data", pieces);
    far.on("data", (bytes) => {
      const held = line.answer;
      line.answer = undefined;
      coming = coming.then(async () => {
        const how = held === undefined ? "deliver" : await held.arrive(line, sql);
        if (!near.destroyed) near.write(how === "deliver" ? bytes : ERROR);
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const hold = (containing: string, at: Plan["at"]): HeldStatement => {
    const { plan, held } = planned(containing, at);
    plans.push(plan);
    return held;
  };
  return {
    port: address.port,
    hold,
    note: (containing) => hold(containing, "nothing"),
    die: () => lines.forEach(({ near }) => near.destroy()),
    async [Symbol.asyncDispose]() {
      for (const { near, far } of lines) [near, far].forEach((socket) => socket.destroy());
      server.close();
      await once(server, "close");
    },
  };
}

function planned(containing: string, at: Plan["at"]): { readonly plan: Plan; readonly held: HeldStatement } {
  let arrived: () => void = () => undefined;
  let letGo: (how: "deliver" | "refuse") => void = () => undefined;
  let on: { readonly line: Line; readonly text: string } | undefined;
  const reached = new Promise<void>((resolve) => (arrived = resolve));
  const gate = new Promise<"deliver" | "refuse">((resolve) => (letGo = resolve));
  const plan: Plan = {
    containing,
    at,
    arrive(line, text) {
      on = { line, text };
      arrived();
      return gate;
    },
  };
  const held: HeldStatement = {
    reached,
    text: () => on?.text ?? "",
    deliver: () => letGo("deliver"),
    cut: () => void on?.line.near.destroy(),
    refuse: () => letGo("refuse"),
  };
  return { plan, held };
}

/** Calls back with each whole message of a client: the first has no type, every other a letter and its length. */
function framed(each: (frame: Buffer) => void): (bytes: Buffer) => void {
  let waiting = Buffer.alloc(0);
  let first = true;
  return (bytes) => {
    waiting = Buffer.concat([waiting, bytes]);
    for (;;) {
      const header = first ? 0 : 1;
      if (waiting.length < header + 4) return;
      const length = header + waiting.readInt32BE(header);
      if (waiting.length < length) return;
      first = false;
      each(waiting.subarray(0, length));
      waiting = waiting.subarray(length);
    }
  };
}

/** The text of a simple query. */
const sqlOf = (frame: Buffer): string => frame.toString("utf8", 5, frame.length - 1);

/** An error of the server's, and that it is ready for the next statement. */
const ERROR = ((): Buffer => {
  const fields = Buffer.from("SERROR\0VERROR\0C57014\0Mcanceling statement due to a wire that lies\0\0");
  const length = Buffer.alloc(4);
  length.writeInt32BE(fields.length + 4);
  return Buffer.concat([Buffer.from("E"), length, fields, Buffer.from([0x5a, 0, 0, 0, 5, 0x49])]);
})();

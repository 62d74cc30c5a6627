import { connect } from "node:net";

/**
 * Sends one command on a unix socket and returns the first line of the answer (`+PONG`, `-LOADING ...`). Undefined when nobody
 * listens or nothing came within `withinMs`. The launcher speaks to a server that may be loading, hung or another's; a client
 * that reconnects and queues would hide exactly that.
 */
export function talk(socketPath: string, command: string, withinMs = 1000): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let text = "";
    const finish = (answer: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(finish, withinMs, undefined);
    socket.setEncoding("utf8");
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("connect", () => socket.write(`${command}\r\n`));
    socket.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\r\n");
      if (end >= 0) finish(text.slice(0, end));
    });
  });
}

/** Whether anything listens on the socket, even if it answers nothing. */
export function listens(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

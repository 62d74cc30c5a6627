// As much of a Redis client as a maker needs: commands one after another on one connection, in RESP2.
import { connect } from "node:net";

export function createRedis({ host, port, password }) {
  let socket;
  let pending = [];
  let buffer = Buffer.alloc(0);
  let last = Promise.resolve();

  function open() {
    socket = connect(port, host);
    buffer = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      buffer = Buffer.concat([buffer, chunk]);
      for (let reply = parse(buffer, 0); reply !== undefined && pending.length > 0; reply = parse(buffer, 0)) {
        buffer = buffer.subarray(reply.end);
        const { resolve, reject } = pending.shift();
        if (reply.value instanceof Error) reject(reply.value);
        else resolve(reply.value);
      }
    });
    socket.on("error", () => {}); // "close" follows and tells everybody
    socket.on("close", () => {
      for (const { reject } of pending) reject(new Error("the connection to Redis was lost"));
      pending = [];
      socket = undefined;
    });
    if (password) send("AUTH", password).catch(() => {});
  }

  function send(...words) {
    if (socket === undefined) open();
    return new Promise((resolve, reject) => {
      pending.push({ resolve, reject });
      socket.write(words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).reduce((all, word) => all + word, `*${words.length}\r\n`));
    });
  }

  return {
    /** Nobody else's commands come between those of `work`. */
    alone(work) {
      const run = last.then(() => work(send));
      last = run.catch(() => {});
      return run;
    },
    close: () => socket?.destroy(),
  };
}

function parse(bytes, at) {
  const eol = bytes.indexOf("\r\n", at);
  if (eol < 0) return undefined;
  const text = bytes.toString("utf8", at + 1, eol);
  const end = eol + 2;
  switch (String.fromCharCode(bytes[at])) {
    case "+":
      return { value: text, end };
    case "-":
      return { value: new Error(text), end };
    case ":":
      return { value: Number(text), end };
    case "$": {
      const size = Number(text);
      if (size < 0) return { value: null, end };
      return bytes.length < end + size + 2 ? undefined : { value: bytes.toString("utf8", end, end + size), end: end + size + 2 };
    }
    default: {
      if (Number(text) < 0) return { value: null, end };
      const value = [];
      let next = end;
      for (let index = 0; index < Number(text); index += 1) {
        const item = parse(bytes, next);
        if (item === undefined) return undefined;
        value.push(item.value);
        next = item.end;
      }
      return { value, end: next };
    }
  }
}

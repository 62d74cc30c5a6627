import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface Login {
  readonly user: string;
  readonly database: string;
  readonly password: string;
}

export interface ToyPostgres extends AsyncDisposable {
  readonly port: number;
  readonly logins: readonly Login[];
}

/**
 * As much of a Postgres as a client needs to show its password: it asks for one in clear text and then refuses, so that libpq
 * itself says what it read from a password file or a service file. Protocol 3.0, "Start-up".
 */
export async function toyPostgres(): Promise<ToyPostgres> {
  const logins: Login[] = [];
  const server = createServer(
    (socket) =>
      void talk(socket, logins)
        .catch(() => undefined)
        .finally(() => socket.destroy()),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    logins,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

async function talk(socket: Socket, logins: Login[]): Promise<void> {
  const chunk = async (): Promise<Buffer> => ((await once(socket, "data")) as [Buffer])[0];
  const words = (await chunk()).subarray(8).toString("utf8").split("\0");
  const told = new Map(words.flatMap((word, index) => (index % 2 === 0 && word !== "" ? [[word, words[index + 1] ?? ""]] : [])));
  socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
  const answer = await chunk();
  logins.push({ user: told.get("user") ?? "", database: told.get("database") ?? "", password: answer.subarray(5, -1).toString("utf8") });
  const text = Buffer.from("SFATAL\0C28000\0Mseen\0\0");
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(text.length + 4, 1);
  socket.end(Buffer.concat([head, text]));
}

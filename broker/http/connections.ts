import type { Server } from "node:http";
import type { Socket } from "node:net";

const open = new WeakMap<object, Set<Socket>>();

/** Notes every connection from its first moment on: Node's own list has only those whose TLS handshake is done. */
export function noteConnections(server: Server): void {
  const sockets = new Set<Socket>();
  open.set(server, sockets);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
}

/** Cuts off all that are open. */
export function cutConnections(server: Server): void {
  server.closeAllConnections();
  for (const socket of open.get(server) ?? []) socket.destroy();
}

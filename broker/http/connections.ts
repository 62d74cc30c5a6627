import type { Server } from "node:http";
import type { Socket } from "node:net";

const connections = new WeakMap<object, Set<Socket>>();

/**
 * Beyond so many connections, those that idle between requests are closed to make room, and new ones are dropped. Each counts from its
 * first moment on; Node's own list has only those whose TLS handshake is done. Not by `maxConnections`: what a worker of a cluster
 * refuses by that, the primary process offers again at once, for ever.
 */
export function boundConnections(server: Server, most: number): void {
  const open = new Set<Socket>();
  connections.set(server, open);
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    if (open.size <= most) return;
    server.closeIdleConnections();
    socket.destroy();
  });
}

/** Cuts off all that are open. */
export function cutConnections(server: Server): void {
  server.closeAllConnections();
  for (const socket of connections.get(server) ?? []) socket.destroy();
}

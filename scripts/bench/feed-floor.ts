/**
 * The floor of the feed: the leanest program that tells everybody what it hears. One channel of Redis, one text, the same bytes into
 * every connection; no positions, no audiences, no heartbeats, nothing that notices who does not read. What the broker's feed takes
 * beyond this is its own.
 */
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { Redis } from "ioredis";
import { FLOOR_CHANNEL } from "./listener.ts";

const { port, redisUrl } = JSON.parse(process.argv[2] ?? "{}") as { readonly port: number; readonly redisUrl: string };
const readers = new Set<Socket>();

const server = createServer((request, response) => {
  if (request.url === "/readyz") return void response.end("ready");
  response.useChunkedEncodingByDefault = false;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("event: sync\n\n");
  const { socket } = request;
  readers.add(socket);
  socket.setNoDelay(true).once("close", () => readers.delete(socket));
});

const subscriber = new Redis(redisUrl);
subscriber.on("message", (_channel, text) => {
  const bytes = Buffer.from(text);
  for (const socket of readers) socket.write(bytes);
});
await subscriber.subscribe(FLOOR_CHANNEL);
server.listen(port, "127.0.0.1");
process.once("SIGTERM", () => process.exit(0));

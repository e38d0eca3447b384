// A relay with the npm package `ws`, for the benchmark. It works like the floors: a message of a
// client at /echo returns to it, and any other goes to all clients.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../tests/clients/node/", import.meta.url));
const { WebSocketServer, WebSocket } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 4096,
  perMessageDeflate: false,
});

server.on("connection", (socket, request) => {
  const isEcho = request.url === "/echo";
  socket.on("error", () => {});
  socket.on("message", (message) => {
    if (isEcho) {
      socket.send(message, { binary: false });
      return;
    }
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) {
        client.send(message, { binary: false });
      }
    }
  });
});

// A server with the npm package `socket.io`, for the benchmark: `send` goes to all clients as `said`,
// and `echo` returns to its sender as `echoed`.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../tests/clients/node/", import.meta.url));
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  // The load does not answer pings. No measurement takes ten minutes.
  pingInterval: 600_000,
});

io.on("connection", (socket) => {
  socket.on("send", (text) => io.emit("said", text));
  socket.on("echo", (text) => socket.emit("echoed", text));
});

http.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });

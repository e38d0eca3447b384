// Socket.IO with `@socket.io/redis-adapter`: two servers, one client on each.
//
// usage: node socketio_adapters.mjs PORT PASSWORD ADAPTER LIBRARY
// ADAPTER is plain, or sharded for the one on shard channels; LIBRARY is redis or ioredis

import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { until } from "./lib.mjs";
import { BINARY, Inbox, equal, numbers, runSteps } from "./steps.mjs";

const MESSAGES = 50;

await runSteps("socketio_adapters.mjs PORT PASSWORD ADAPTER LIBRARY", {
  "events reach the clients of both servers, once and in order": async (...how) => {
    await withPair(how, async ([one, other]) => {
      for (const text of numbers(MESSAGES)) one.server.emit("text", text);
      const texts = numbers(MESSAGES).map((text) => ["text", text]);
      equal(await one.inbox.take(MESSAGES), texts);
      equal(await other.inbox.take(MESSAGES), texts);
      other.server.emit("bytes", { all: BINARY });
      equal(await one.inbox.next(), ["bytes", { all: BINARY }]);
      equal(await other.inbox.next(), ["bytes", { all: BINARY }]);
    });
  },

  "rooms span servers": async (...how) => {
    await withPair(how, async ([one, other]) => {
      await joined([one, other], other, "room");
      one.server.to("room").emit("to-room", 1);
      equal(await other.inbox.next(), ["to-room", 1]);
      one.server.to(other.client.id).emit("to-one", 2);
      equal(await other.inbox.next(), ["to-one", 2]);
      one.server.except("room").emit("to-rest", 3);
      one.server.emit("end", 4);
      equal(await other.inbox.next(), ["end", 4]);
      equal(await one.inbox.take(2), [["to-rest", 3], ["end", 4]]);
    });
  },

  "a server asks and changes the sockets of the other": async (...how) => {
    await withPair(how, async ([one, other]) => {
      const ids = (await one.server.fetchSockets()).map(({ id }) => id).sort();
      equal(ids, [one.client.id, other.client.id].sort());
      one.server.in(other.client.id).socketsJoin("guests");
      await until("bob is in", async () => (await other.server.in("guests").fetchSockets()).length === 1);
      equal((await one.server.in("guests").fetchSockets())[0].id, other.client.id);
      one.server.in("guests").socketsLeave("guests");
      await until("bob is out", async () => (await one.server.in("guests").fetchSockets()).length === 0);
      one.server.in(other.client.id).disconnectSockets();
      await until("bob is gone", () => !other.client.connected);
      equal(one.client.connected, true);
    });
  },

  "answers come back from the clients of both servers": async (...how) => {
    await withPair(how, async ([one]) => {
      const answers = await one.server.timeout(20_000).emitWithAck("ask", "who?");
      equal(answers.sort(), ["yes, who?", "yes, who?"]);
    });
  },

  "servers send events to servers": async (...how) => {
    await withPair(how, async ([one, other]) => {
      other.server.on("ask-server", (question, answer) => answer(`server: ${question}`));
      equal(await one.server.serverSideEmitWithAck("ask-server", "who?"),
        ["server: who?"]);
    });
  },

  "both reconnect after client kill": async (...how) => {
    await withPair(how, async ([one, other]) => {
      const { redis } = one;
      const killed = await subscriberIds(redis);
      equal(killed.length, 2);
      for (const id of killed) equal(await call(redis, "CLIENT", "KILL", "ID", id), 1);
      await until("two others are subscribed", async () => {
        const ids = await subscriberIds(redis);
        return ids.length === 2 && !ids.some((id) => killed.includes(id));
      });
      await until("both servers find each other", async () =>
        (await one.server.of("/").adapter.serverCount()) === 2
        && (await one.server.timeout(500).fetchSockets().catch(() => [])).length === 2);
      one.server.emit("after", 1);
      equal([await one.inbox.next(), await other.inbox.next()], [["after", 1], ["after", 1]]);
    });
  },
});

async function withPair([server, adapter, library], use) {
  const sites = [];
  try {
    for (const _ of [1, 2]) sites.push(await site(server, adapter, library));
    await until("both servers find each other", async () =>
      (await sites[0].server.of("/").adapter.serverCount()) === 2);
    await use(sites);
  } finally {
    for (const { client, server: web, publisher, subscriber } of sites) {
      client.disconnect();
      await web.close();
      // The adapter does not wait for its unsubscriptions. The server replies to QUIT after them.
      for (const redis of [publisher, subscriber]) await redis.quit();
    }
  }
}

/** One web server with its connections to Redis, and one client on it. */
async function site(server, adapter, library) {
  const [publisher, subscriber] = [await connected(server, library), await connected(server, library)];
  const http = createServer();
  const create = adapter === "sharded" ? createShardedAdapter : createAdapter;
  const web = new Server(http, { adapter: create(publisher, subscriber) });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  const client = io(`http://127.0.0.1:${http.address().port}`, { transports: ["websocket"] });
  const inbox = new Inbox();
  client.on("ask", (question, answer) => answer(`yes, ${question}`));
  client.onAny((...event) => event[0] !== "ask" && inbox.push(event));
  await new Promise((resolve) => client.once("connect", resolve));
  return { server: web, client, inbox, redis: publisher, publisher, subscriber };
}

async function connected({ host, port, password, url }, library) {
  if (library === "ioredis") {
    const client = new Redis({ host, port, password });
    client.on("error", () => {}); // it connects again
    await client.ping();
    return client;
  }
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Sends a command with either library. */
function call(redis, ...words) {
  return redis.sendCommand && !redis.call ? redis.sendCommand(words) : redis.call(...words);
}

async function subscriberIds(redis) {
  const list = String(await call(redis, "CLIENT", "LIST", "TYPE", "pubsub"));
  return (list.match(/^id=\d+/gm) ?? []).map((found) => found.slice("id=".length));
}

async function joined(sites, { client }, room) {
  for (const { server } of sites) server.in(client.id).socketsJoin(room);
  await until(`${client.id} is in ${room}`, async () => {
    for (const { server } of sites) {
      if ((await server.in(room).fetchSockets()).length !== 1) return false;
    }
    return true;
  });
}

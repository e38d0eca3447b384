// The client of 2018, @aspnet/signalr 1.1.4. It negotiates without a version, so its connection id is its token.
//
// usage: node aspnet_signalr.mjs URL TRANSPORT ENCODING
// Prints one line of JSON for each step, then "ok". Ends with exit code 1 if a step has failed.

import signalr from "@aspnet/signalr";
import msgpack from "@aspnet/signalr-protocol-msgpack";
import { deepStrictEqual as equal, notEqual, rejects } from "node:assert/strict";
import { goThrough, promise } from "./signalr_steps.mjs";

const [url, transport, encoding] = process.argv.slice(2);

await goThrough({
  "a call returns its result": () => connected(async (hub) => {
    equal(await hub.invoke("Echo", "grüße"), "grüße");
  }),

  "an exception has the name of the method": () => connected(async (hub) => {
    await rejects(hub.invoke("ThrowException", "why"), {
      message: "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: why",
    });
  }),

  "the server calls a method": () => connected(async (hub) => {
    const received = promise();
    hub.on("Message", received.resolve);
    await hub.send("InvokeWithString", "hi");
    equal(await received, "hi");
  }),

  "a stream gives all items": () => connected(async (hub) => {
    equal(await items(hub.stream("Stream")), ["a", "b", "c"]);
  }),

  "a stream is cancelled": () => connected(async (hub) => {
    // The MessagePack protocol of this version has no message for it.
    if (encoding === "messagepack") return;
    const cancelled = promise();
    hub.on("StreamCanceled", cancelled.resolve);
    hub.stream("InfiniteStream").subscribe({ next() {}, error: cancelled.reject, complete() {} }).dispose();
    await cancelled;
  }),

  "a refused client gets the reason": async () => {
    const hub = build("/uncreatable");
    const closed = promise();
    hub.onclose(closed.resolve);
    const error = await hub.start().then(() => closed, (error) => error);
    equal(/Connection closed with an error/.test(error.message), true);
  },

  "a token opens a protected hub": async () => {
    const token = await (await fetch(`${url}/generateJwtToken`)).text();
    await rejects(build("/authorizedhub").start(), /Unauthorized/);
    await connected(async (hub) => {
      equal(await hub.invoke("Echo", "hi"), "hi");
    }, build("/authorizedhub", { accessTokenFactory: () => token }));
  },

  // This version does not reconnect by itself.
  "a client can start again": async () => {
    const hub = build();
    const ids = [];
    for (let round = 0; round < 2; round++) {
      await hub.start();
      ids.push(await hub.invoke("GetCallerConnectionId"));
      await hub.stop();
    }
    notEqual(ids[0], ids[1]);
  },
});

function build(path = "/testhub", options = {}) {
  return new signalr.HubConnectionBuilder()
    .withUrl(url + path, { transport: signalr.HttpTransportType[transport], ...options })
    .withHubProtocol(encoding === "messagepack" ? new msgpack.MessagePackHubProtocol() : new signalr.JsonHubProtocol())
    .configureLogging(signalr.LogLevel.None)
    .build();
}

async function connected(body, hub = build()) {
  const closed = promise();
  hub.onclose(closed.resolve);
  await hub.start();
  await body(hub);
  await hub.stop();
  equal(await closed, undefined);
}

function items(stream) {
  const received = [];
  const end = promise();
  stream.subscribe({ next(item) { received.push(item); }, error: end.reject, complete() { end.resolve(received); } });
  return end;
}

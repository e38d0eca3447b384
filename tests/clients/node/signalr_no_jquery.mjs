// The client of SignalR 2 without jQuery: signalr-no-jquery 0.2.1, which has the code of jquery.signalR 2.4.3.
//
// usage: node signalr_no_jquery.mjs URL TRANSPORT
// Prints one line of JSON for each step, then "ok". Ends with exit code 1 if a step has failed.

import "./signalr_page.mjs";
import { deepStrictEqual as equal, notEqual, rejects } from "node:assert/strict";
import { goThrough, promise } from "./signalr_steps.mjs";

const { hubConnection } = (await import("signalr-no-jquery")).default;
const [url, transport] = process.argv.slice(2);

await goThrough({
  "a call returns its result": () => connected(async ({ proxy }) => {
    equal(await invoke(proxy, "Echo", "grüße"), "grüße");
  }),

  "the client took the transport": () => connected(async ({ connection }) => {
    equal(connection.transport.name, transport);
  }),

  "the client knows its id": () => connected(async ({ connection, proxy }) => {
    equal(await invoke(proxy, "GetCallerConnectionId"), connection.id);
  }),

  "an exception reaches the client": () => connected(async ({ proxy }) => {
    await rejects(invoke(proxy, "ThrowException", "why"), /why/);
  }),

  "an unknown method is an error": () => connected(async ({ proxy }) => {
    await rejects(invoke(proxy, "Nobody"), /Nobody/);
  }),

  "the server calls a method": () => connected(async ({ proxy }) => {
    const received = promise();
    proxy.on("message", received.resolve);
    await invoke(proxy, "InvokeWithString", "hi");
    equal(await received, "hi");
  }),

  "an object arrives and comes back": () => connected(async ({ proxy }) => {
    const received = promise();
    proxy.on("customObject", received.resolve);
    await invoke(proxy, "SendCustomObject", { Name: "test", Value: 42 });
    equal(await received, { Name: "test", Value: 42 });
  }),

  "a lost connection is opened again": () => connected(async ({ connection, proxy }) => {
    const back = promise();
    connection.reconnected(() => { back.resolve(); });
    const before = connection.id;
    connection.transport.lostConnection(connection);
    await back;
    equal(connection.id, before);
    equal(await invoke(proxy, "Echo", "again"), "again");
  }),

  "a client can start again": async () => {
    const client = build();
    await start(client.connection);
    const before = client.connection.id;
    client.connection.stop();
    await start(client.connection);
    notEqual(client.connection.id, before);
    equal(await invoke(client.proxy, "Echo", "again"), "again");
    client.connection.stop();
  },
});

function build() {
  const connection = hubConnection(url);
  const proxy = connection.createHubProxy("TestHub");
  // A client without a handler does not announce its hub.
  proxy.on("nothing", () => {});
  return { connection, proxy };
}

async function connected(body) {
  const client = build();
  await start(client.connection);
  try {
    await body(client);
  } finally {
    client.connection.stop();
  }
}

function start(connection) {
  return new Promise((resolve, reject) => {
    connection.start({ transport, withCredentials: false }).done(resolve).fail(reject);
  });
}

function invoke(proxy, method, ...args) {
  return new Promise((resolve, reject) => {
    proxy.invoke(method, ...args).done(resolve).fail((error) => { reject(error instanceof Error ? error : new Error(error)); });
  });
}

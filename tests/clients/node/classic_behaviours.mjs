// The behaviours that the functional tests of SignalR 2's JavaScript client check, in our words.
//
// They run in a page that has loaded jQuery, jquery.signalR and the script of the server.

import { equal, notEqual, rejects } from "./expect.mjs";
import { until } from "./lib.mjs";
import { promise } from "./signalr_steps.mjs";

const { connected, connecting, disconnected, reconnecting } = $.signalR.connectionState;

/** Returns the steps for a client over one transport. */
export function behaviours(transport) {
  return { ...calls(), ...handlers(), ...connections(), ...losses() };

  function calls() {
    return {
      "a call returns its result": () => started(async ({ testHub }) => {
        equal(await testHub.server.echo("grüße, 世界 👋"), "grüße, 世界 👋");
      }),

      "a value of each type comes back": () => started(async ({ testHub }) => {
        for (const value of ["", "a\"b", 0, -1.5, true, false, [], [1, "two", [3]], { a: { b: null } }]) {
          equal(await testHub.server.echoValue(value), value);
        }
        // SignalR 2 leaves out a result that is null.
        equal(await testHub.server.echoValue(null), undefined);
      }),

      "an exception reaches the client": () => started(async ({ testHub }) => {
        await rejects(Promise.resolve(testHub.server.throwException("why")), /why/);
      }),

      "an error of the hub is marked as one": () => started(async ({ testHub }) => {
        await rejects(Promise.resolve(testHub.server.refuse("why")), { message: "why" });
        const error = await testHub.server.refuse("why").then(() => null, (error) => error);
        equal(error.source, "HubException");
      }),

      "an error of the hub carries data": () => started(async ({ testHub }) => {
        const error = await testHub.server.refuseWith("why", { code: 7 }).then(() => null, (error) => error);
        equal([error.message, error.data], ["why", { code: 7 }]);
      }),

      "an unknown method is an error": () => started(async ({ testHub }) => {
        await rejects(Promise.resolve(testHub.invoke("Nobody")), /'Nobody' method could not be resolved/);
      }),

      "a call fails when the client stops": () => started(async ({ testHub, connection }) => {
        const call = Promise.resolve(testHub.server.echo("late"));
        connection.stop();
        await rejects(call, /./);
      }),

      "the items of a stream are progress": () => started(async ({ testHub }) => {
        const items = [];
        await testHub.server.stream().progress((item) => { items.push(item); });
        // The client drops progress after the result, which may arrive first on a connection of its own.
        equal(items, ["a", "b", "c"].slice(0, transport === "webSockets" ? 3 : items.length));
      }),

      "state goes with a call and comes back": () => started(async ({ testHub }) => {
        testHub.state.calls = 5;
        equal(await testHub.server.countCalls(), 6);
        equal(await testHub.server.countCalls(), 7);
        equal(testHub.state.calls, 7);
      }),

      "requests carry the query of the client": async () => {
        const client = build();
        client.connection.qs = { numRedirects: 7 };
        await started(async ({ testHub }) => { equal(await testHub.server.getNumRedirects(), 7); }, client);
      },

      "the server answers a ping": () => started(async ({ connection }) => {
        await $.signalR.transports._logic.pingServer(connection);
      }),
    };
  }

  function handlers() {
    return {
      "the hub calls all handlers of a method": () => started(async ({ testHub }) => {
        const received = [];
        for (const name of ["first", "second"]) testHub.on("message", (text) => { received.push(`${name} ${text}`); });
        await testHub.server.invokeWithString("hi");
        await until("both messages", () => received.length === 2);
        equal(received, ["first hi", "second hi"]);
      }),

      "a removed handler is not called": () => started(async ({ testHub }) => {
        const received = [];
        const removed = () => { received.push("removed"); };
        testHub.on("message", removed);
        testHub.on("message", (text) => { received.push(text); });
        testHub.off("message", removed);
        await testHub.server.invokeWithString("hi");
        await until("the message", () => received.length > 0);
        equal(received, ["hi"]);
      }),

      "callbacks are called once after a new start": async () => {
        const client = build();
        const received = [];
        client.testHub.client.message = (text) => { received.push(text); };
        await started(async ({ testHub }) => { await testHub.server.invokeWithString("one"); }, client);
        await started(async ({ testHub }) => {
          await testHub.server.invokeWithString("two");
          await until("the message", () => received.includes("two"));
        }, client);
        equal(received.filter((text) => text === "two"), ["two"]);
      },

      "messages of the start come after it, in order": async () => {
        const client = build();
        const greetings = [];
        client.greetingHub.client.greet = (number) => { greetings.push([number, client.connection.state]); };
        await started(async ({ greetingHub }) => {
          const answered = promise();
          greetingHub.on("pong", answered.resolve);
          await greetingHub.server.ping();
          await answered;
          equal(greetings, [[1, connected], [2, connected]]);
        }, client);
      },

      "a group of the start gets messages once": () => alone(async () => {
        const client = build();
        let pings = 0;
        client.greetingHub.client.ping = () => { pings += 1; };
        await started(async ({ greetingHub }) => {
          const answered = promise();
          greetingHub.on("pong", answered.resolve);
          for (let round = 0; round < 2; round++) await greetingHub.server.pingGroup();
          await greetingHub.server.ping();
          await answered;
          equal(pings, 2);
        }, client);
      }),

      "a group gets messages until the client leaves it": () => started(async ({ testHub }) => {
        const received = [];
        testHub.on("message", (text) => { received.push(text); });
        const group = `group of ${transport}`;
        await testHub.server.join(group);
        await testHub.server.sendToGroup(group, "inside");
        await testHub.server.leave(group);
        await testHub.server.sendToGroup(group, "outside");
        await testHub.server.invokeWithString("end");
        await until("the end", () => received.includes("end"));
        equal(received, ["inside", "end"]);
      }),
    };
  }

  function connections() {
    return {
      "the client takes the transport": () => started(async ({ testHub, connection }) => {
        equal(connection.transport.name, transport);
        equal(await testHub.server.getCallerConnectionId(), connection.id);
      }),

      "a new start is a new connection": async () => {
        const client = build();
        const seen = [];
        for (let round = 0; round < 2; round++) {
          await started(({ connection }) => { seen.push([connection.id, connection.token]); }, client);
        }
        notEqual(seen[0][0], seen[1][0]);
        notEqual(seen[0][1], seen[1][1]);
      },

      "a start may be repeated": async () => {
        const client = build();
        start(client.connection);
        await started(async ({ testHub, connection }) => {
          await start(connection);
          equal(await testHub.server.echo("once"), "once");
        }, client);
      },

      "a client that stops while it starts can start again": async () => {
        const client = build();
        start(client.connection).catch(() => {});
        client.connection.stop();
        await started(async ({ testHub }) => { equal(await testHub.server.echo("again"), "again"); }, client);
      },

      "an unknown hub is refused": async () => {
        const { connection } = build();
        connection.createHubProxy("NoSuchHub").on("message", () => {});
        await rejects(start(connection), /./);
        equal(connection.state, disconnected);
      },

      "two clients of a page are two connections": () => started((first) => started(async (second) => {
        const received = [];
        for (const { testHub } of [first, second]) testHub.on("message", (text) => { received.push(text); });
        await first.testHub.server.invokeWithString("first");
        await until("the first message", () => received.length === 1);
        await second.testHub.server.invokeWithString("second");
        await until("the second message", () => received.length === 2);
        equal(received, ["first", "second"]);
      })),
    };
  }

  function losses() {
    return {
      "the states of a client that loses its transport": async () => {
        const client = build();
        const states = [];
        client.connection.stateChanged(({ newState }) => { states.push(newState); });
        await started(async ({ testHub, connection }) => {
          const { id } = connection;
          await lose(connection);
          equal(connection.id, id);
          equal(await testHub.server.echo("again"), "again");
        }, client);
        equal(states, [connecting, connected, reconnecting, connected, disconnected]);
      },

      "groups stay when a client loses its transport": () => started(async ({ testHub, connection }) => {
        const received = promise();
        testHub.on("message", received.resolve);
        const group = `lasting group of ${transport}`;
        await testHub.server.join(group);
        await lose(connection);
        await testHub.server.sendToGroup(group, "still here");
        equal(await received, "still here");
      }),

      "messages of the time without a transport come once": () => started((sender) => started(async (receiver) => {
        const received = [];
        receiver.testHub.on("message", (text) => { received.push(text); });
        const group = `group that misses nothing of ${transport}`;
        await receiver.testHub.server.join(group);
        const back = lose(receiver.connection);
        await sender.testHub.server.sendToGroup(group, "meanwhile");
        await back;
        await sender.testHub.server.sendToGroup(group, "after");
        await until("the last message", () => received.includes("after"));
        equal(received, ["meanwhile", "after"]);
      })),
    };
  }

  /** Runs the body with a started client, and stops it. */
  async function started(body, client = build()) {
    await start(client.connection);
    try {
      equal(client.connection.state, connected);
      await body(client);
    } finally {
      client.connection.stop();
    }
  }

  function start(connection) {
    return Promise.resolve(connection.start({ transport }));
  }
}

/** Starts without a choice of the transport, where WebSockets fail. */
export async function fallback() {
  const { WebSocket } = window;
  window.WebSocket = class {
    constructor() {
      throw new Error("WebSockets are broken");
    }
  };
  const { connection, greetingHub } = build();
  const greetings = [];
  greetingHub.client.greet = (number) => { greetings.push(number); };
  try {
    await connection.start();
    equal(connection.transport.name, "serverSentEvents");
    const answered = promise();
    greetingHub.on("pong", answered.resolve);
    await greetingHub.server.ping();
    await answered;
    equal(greetings, [1, 2]);
  } finally {
    window.WebSocket = WebSocket;
    connection.stop();
  }
}

let others = Promise.resolve();

/** Runs a step that needs a group for itself, while the page goes through other transports as well. */
function alone(step) {
  const running = others.then(step);
  others = running.catch(() => {});
  return running;
}

/** Makes a client with the hubs of the server's script. A hub is subscribed to if it has a callback. */
function build() {
  const connection = $.hubConnection("/signalr", { useDefaultPath: false });
  const hubs = connection.createHubProxies();
  for (const { client } of Object.values(hubs)) client.nothing = () => {};
  return { connection, ...hubs };
}

/** Takes the transport from a client, and waits until it has one again. */
async function lose(connection) {
  const back = promise();
  connection.reconnected(() => { back.resolve(); });
  connection.transport.lostConnection(connection);
  await back;
}

// The behaviours that the functional tests of ASP.NET Core's JavaScript client check, in our words.
//
// They run in Node.js and in a browser, so this module imports nothing but its neighbours.

import { equal, notEqual, rejects } from "./expect.mjs";
import { until } from "./lib.mjs";
import { promise } from "./signalr_steps.mjs";

const TEXT = "grüße, 世界 👋";
const IN_BROWSER = typeof window !== "undefined";

/**
 * Returns the steps for a client over one transport in one encoding.
 *
 * `signalR` is the library, and `MessagePackHubProtocol` the class of its second encoding. The steps ask the server's
 * pages with `fetch`.
 */
export function behaviours({ signalR, MessagePackHubProtocol, url, transport, encoding, fetch = globalThis.fetch }) {
  const { HttpTransportType, HubConnectionBuilder, HubConnectionState, LogLevel, Subject } = signalR;
  const isBinary = encoding === "messagepack";
  // A browser sends headers of the client with requests, but not with a WebSocket or an EventSource.
  const sendsHeaders = !IN_BROWSER || transport === "LongPolling";
  const agentHeader = IN_BROWSER ? "X-SignalR-User-Agent" : "User-Agent";

  /** Requests with access to the answer of the last poll. */
  class LastPoll extends signalR.HttpClient {
    #client = new signalR.DefaultHttpClient(signalR.NullLogger.instance);

    send(request) {
      const answer = this.#client.send(request);
      if (request.method === "GET") this.last = answer;
      return answer;
    }
  }

  return {
    "a call returns its result": () => connected(async (hub) => {
      equal(await hub.invoke("Echo", TEXT), TEXT);
    }),

    "a call without a result is sent": () => connected(async (hub) => {
      await hub.send("Echo", TEXT);
    }),

    "an object arrives and comes back": () => connected(async (hub) => {
      const received = promise();
      hub.on("CustomObject", received.resolve);
      await hub.send("SendCustomObject", { Name: "test", Value: 42 });
      equal(await received, { Name: "test", Value: 42 });
    }),

    "the server calls a method, whatever the case of its name": () => connected(async (hub) => {
      const received = promise();
      hub.on("mESSage", received.resolve);
      await hub.invoke("InvokeWithString", TEXT);
      equal(await received, TEXT);
    }),

    "an exception has the name of the method": () => connected(async (hub) => {
      await rejects(hub.invoke("ThrowException", "An error occurred."), {
        message: "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: An error occurred.",
      });
    }),

    "a value of each type arrives and comes back": () => connected(async (hub) => {
      const sent = complex("Hello, World!", [1, 2, 3, 255], [104, 101, 108, 108, 111], "2002-04-01T10:20:15Z");
      equal(plain(await hub.invoke("EchoComplexObject", sent)), plain(sent));
    }),

    "a value of each type arrives": () => connected(async (hub) => {
      equal(plain(await hub.invoke("SendComplexObject")), plain(complex("hello world", [1, 2, 3], [1, 2, 3], "2000-01-01T00:00:00Z")));
    }),

    "a time arrives as a time": () => connected(async (hub) => {
      const { DateTime } = await hub.invoke("SendComplexObject");
      equal(isBinary ? DateTime instanceof Date : typeof DateTime === "string", true);
    }),

    "a client can start again": async () => {
      const hub = build();
      for (let round = 0; round < 2; round++) {
        const closed = closing(hub);
        await hub.start();
        equal(await hub.invoke("Echo", TEXT), TEXT);
        await hub.stop();
        equal(await closed, undefined);
      }
    },

    "handlers stay when a client starts again": async () => {
      const hub = build();
      const received = [];
      hub.on("message", (message) => { received.push(message); });
      for (const message of ["one", "two"]) {
        await hub.start();
        await hub.invoke("InvokeWithString", message);
        await until("the message", () => received.includes(message));
        await hub.stop();
      }
      equal(received, ["one", "two"]);
    },

    "a refused client gets the reason": async () => {
      const hub = build({ path: "/uncreatable" });
      const closed = closing(hub);
      const { message } = await hub.start().then(() => closed, (error) => error);
      // With events, the first ping of the client is a request of its own. It may find the connection closed.
      if (transport === "ServerSentEvents" && message === "No Connection with that ID: Status code '404'") return;
      equal(message, "Server returned an error on close: Connection closed with an error. InvalidOperationException: Unable to resolve service for type 'System.Object' while attempting to activate 'FunctionalTests.UncreatableHub'.");
    },

    "an aborted client gets no error": async () => {
      const hub = build();
      const closed = closing(hub);
      await hub.start();
      await hub.send("Abort");
      equal(await closed, undefined);
    },

    "a stream gives all items": () => connected(async (hub) => {
      equal(await items(hub.stream("Stream")), ["a", "b", "c"]);
      equal(await items(hub.stream("EmptyStream")), []);
    }),

    "a stream is cancelled": () => connected(async (hub) => {
      const cancelled = promise();
      hub.on("StreamCanceled", cancelled.resolve);
      hub.stream("InfiniteStream").subscribe({ next() {}, error: cancelled.reject, complete() {} }).dispose();
      await cancelled;
    }),

    "an exception instead of a stream has the name of the method": () => connected(async (hub) => {
      await rejects(items(hub.stream("StreamThrowException", "An error occurred.")), {
        message: "An unexpected error occurred invoking 'StreamThrowException' on the server. InvalidOperationException: An error occurred.",
      });
    }),

    "a stream must be called as a stream": () => connected(async (hub) => {
      for (const method of ["EmptyStream", "Stream"]) {
        await rejects(hub.invoke(method), {
          message: `The client attempted to invoke the streaming '${method}' method with a non-streaming invocation.`,
        });
      }
    }),

    "a method must not be called as a stream": () => connected(async (hub) => {
      await rejects(items(hub.stream("Echo", "42")), {
        message: "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
      });
    }),

    "a client uploads items": () => connected(async (hub) => {
      const subject = new Subject();
      const result = hub.invoke("StreamingConcat", subject);
      for (const item of ["Hello ", "world", "!"]) subject.next(item);
      subject.complete();
      equal(await result, "Hello world!");
    }),

    "an upload that fails reaches the method": () => connected(async (hub) => {
      const subject = new Subject();
      const result = hub.invoke("StreamingConcat", subject);
      subject.next("Hello ");
      subject.error(new Error("Something bad"));
      await rejects(result, {
        message: "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: Something bad",
      });
    }),

    "a client returns a result": () => connected(async (hub) => {
      hub.on("Result", () => 10);
      equal(await page(`/clientresult/${hub.connectionId}`), "10");
    }),

    "a client returns an error": () => connected(async (hub) => {
      hub.on("Result", () => { throw new Error("from callback"); });
      equal(await page(`/clientresult/${hub.connectionId}`), "Error: from callback");
    }),

    "a client has no handler for a result": () => connected(async (hub) => {
      equal(await page(`/clientresult/${hub.connectionId}`), "Client didn't provide a result.");
    }),

    "a token opens a protected hub": async () => {
      const token = await page("/generateJwtToken");
      for (const accessTokenFactory of [() => token, () => page("/generateJwtToken")]) {
        await connected(async (hub) => {
          equal(await hub.invoke("Echo", TEXT), TEXT);
        }, { path: "/authorizedhub", accessTokenFactory });
      }
    },

    "without a token, a protected hub is closed": async () => {
      await rejects(build({ path: "/authorizedhub" }).start(), /^Error: Failed to complete negotiation with the server: .*'401'$/);
    },

    "a silent server is left": async () => {
      // A poll that the client opens counts as a sign of life.
      if (transport === "LongPolling") return;
      const hub = build();
      const closed = closing(hub);
      await hub.start();
      hub.serverTimeoutInMilliseconds = 1;
      // Each message starts the time anew. After a ping, it may end before the result arrives.
      hub.invoke("Echo", "").catch(() => {});
      equal((await closed).message, "Server timeout elapsed without receiving a message from the server.");
    },

    "cookies of the negotiation come with the transport": () => connected(async (hub) => {
      equal(await hub.invoke("GetCookie", "testCookie"), "testValue");
      equal(await hub.invoke("GetCookie", "testCookie2"), "testValue2");
      equal(await hub.invoke("GetCookie", "expiredCookie"), null);
    }),

    "a lost connection is opened again": async () => {
      const hub = build({ reconnect: true });
      const { before, after } = await reconnected(hub);
      notEqual(after, before);
      equal(await hub.invoke("Echo", "test"), "test");
      await hub.stop();
    },

    "the address can change while a client reconnects": async () => {
      const hub = build({ reconnect: true });
      const changed = promise();
      hub.onreconnecting(() => {
        hub.baseUrl = "http://elsewhere.test";
        changed.resolve();
      });
      await hub.start();
      hub.serverTimeout();
      await changed;
      equal(hub.baseUrl, "http://elsewhere.test");
      await hub.stop();
    },

    "a redirected client reconnects by a new redirection": async () => {
      const hub = build({ path: `/redirect?numRedirects=0&baseUrl=${url}`, reconnect: true });
      let before;
      const { after } = await reconnected(hub, async () => {
        before = await hub.invoke("GetNumRedirects");
        equal(hub.connectionId, await hub.invoke("GetCallerConnectionId"));
      });
      equal(after, await hub.invoke("GetCallerConnectionId"));
      equal(await hub.invoke("GetNumRedirects") > before, true);
      await hub.stop();
      equal(hub.connectionId, null);
    },

    "a client without negotiation has no id and reconnects": async () => {
      if (transport !== "WebSockets") return;
      const hub = build({ reconnect: true, skipNegotiation: true });
      equal(hub.connectionId, null);
      const { after } = await reconnected(hub, () => { equal(hub.connectionId, null); });
      equal(after, undefined);
      equal(await hub.invoke("Echo", "test"), "test");
      await hub.stop();
      equal(hub.connectionId, null);
    },

    "the client sends its name": () => connected(async (hub) => {
      const name = await hub.invoke("GetHeader", agentHeader);
      equal(sendsHeaders ? /^Microsoft SignalR\//.test(name) : name, sendsHeaders || null);
    }),

    "headers of the application replace those of the client": () => connected(async (hub) => {
      equal(await hub.invoke("GetHeader", agentHeader), sendsHeaders ? "Custom Agent" : null);
      equal(await hub.invoke("GetHeader", "X-HEADER"), sendsHeaders ? "VALUE" : null);
    }, { headers: { [agentHeader]: "Custom Agent", "X-HEADER": "VALUE" } }),

    "the server has the transport that the client chose": () => connected(async (hub) => {
      equal(await hub.invoke("GetActiveTransportName"), transport);
    }),

    "without WebSockets, a client takes the next transport": () => connected(async (hub) => {
      equal(await hub.invoke("GetActiveTransportName"), isBinary ? "LongPolling" : "ServerSentEvents");
    }, { path: "/testhub-nowebsockets", transport: undefined }),

    "a client whose WebSockets fail takes the next transport": () => connected(async (hub) => {
      equal(await hub.invoke("GetActiveTransportName"), isBinary ? "LongPolling" : "ServerSentEvents");
    }, { transport: undefined, WebSocket: BrokenWebSocket }),

    "the end of long polling ends the last poll": async () => {
      if (transport !== "LongPolling") return;
      const httpClient = new LastPoll();
      const hub = build({ httpClient });
      await hub.start();
      const stopped = hub.stop();
      const last = await httpClient.last.catch((error) => error);
      equal(last instanceof signalR.AbortError || last.statusCode === 204, true);
      await stopped;
    },

    "a failed negotiation is reported": async () => {
      await rejects(build({ path: "/bad-negotiate" }).start(), /Some response from server|Status code '400'/);
    },
  };

  function build({ path = "/testhub", reconnect, ...options } = {}) {
    const builder = new HubConnectionBuilder()
      .withUrl(url + path, { transport: HttpTransportType[transport], ...options })
      .withHubProtocol(isBinary ? new MessagePackHubProtocol() : new signalR.JsonHubProtocol())
      .configureLogging(LogLevel.None);
    return (reconnect ? builder.withAutomaticReconnect() : builder).build();
  }

  /** Runs the body with a client that is stopped without an error after it. */
  async function connected(body, options) {
    const hub = build(options);
    const closed = closing(hub);
    await hub.start();
    equal(hub.state, HubConnectionState.Connected);
    await body(hub);
    await hub.stop();
    equal(await closed, undefined);
  }

  function closing(hub) {
    const closed = promise();
    hub.onclose(closed.resolve);
    return closed;
  }

  /** Starts a client, cuts its connection and waits until it is back. */
  async function reconnected(hub, whileConnected = () => {}) {
    const back = promise();
    hub.onreconnected(back.resolve);
    await hub.start();
    await whileConnected();
    const before = hub.connectionId;
    hub.serverTimeout();
    return { before, after: await back };
  }

  async function page(path) {
    return (await fetch(url + path)).text();
  }

  /** Returns an object as this encoding has it: bytes and times are text in JSON. */
  function complex(text, numbers, bytes, time) {
    return {
      String: text,
      IntArray: numbers,
      ByteArray: isBinary ? Uint8Array.from(bytes) : btoa(String.fromCharCode(...bytes)),
      Guid: "00010203-0405-0607-0706-050403020100",
      DateTime: isBinary ? new Date(time) : time,
    };
  }
}

function items(stream) {
  const received = [];
  const end = promise();
  stream.subscribe({ next(item) { received.push(item); }, error: end.reject, complete() { end.resolve(received); } });
  return end;
}

/** Makes objects comparable: a Buffer is a Uint8Array too, and a time may be text. */
function plain(object) {
  const { ByteArray: bytes, DateTime: time } = object;
  return { ...object, ByteArray: typeof bytes === "string" ? bytes : [...bytes], DateTime: new Date(time).toISOString() };
}

class BrokenWebSocket {
  constructor() {
    throw new Error("WebSockets are broken");
  }
}

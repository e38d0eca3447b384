// Two unmodified clients of SignalR 2 and one of ASP.NET Core, on both chat servers, exchange
// messages.
//
// usage: node signalr_classic.mjs PAGE PAGE COUNT TRANSPORT
// prints {"received": [[[name, message], …] of ann, … of bob, … of core], "room": [arguments, …],
//         "refused": text, "unknown": text, "after": [[name, message], …], "states": [number, …]}

import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";
import { connect, load } from "./classic.mjs";
import { report, run, until } from "./lib.mjs";

const usage = "signalr_classic.mjs PAGE PAGE COUNT TRANSPORT";

await run(usage, async (first, second, count, transport) => {
  const ann = await connect(await load(first), "ann", transport);
  const bob = await connect(await load(second), "bob", transport);
  const core = await connectCore(second);

  for (let number = 0; number < Number(count); number++) {
    const { chat, name } = number % 2 === 0 ? ann : bob;
    await chat.server.send(name, `message ${number}`);
  }
  await core.hub.invoke("Send", "core", "end");
  const everyone = [ann, bob, core];
  const hasEnd = ({ received }) => received.some(([, message]) => message === "end");
  await until("the last message at all", () => everyone.every(hasEnd));
  const received = everyone.map((each) => each.received.splice(0));

  await ann.chat.server.joinRoom("red");
  await bob.chat.server.sendToRoom("red", "bob", "in the room");
  await ann.chat.server.leaveRoom("red");
  await bob.chat.server.sendToRoom("red", "bob", "not for ann");
  await bob.chat.server.send("bob", "done");
  const isDone = ({ received }) => received.some(([, message]) => message === "done");
  await until("the end at ann", () => isDone(ann));
  const room = ann.received.splice(0);

  const refused = await ann.chat.server.send("", "x").then(() => null, (error) => error.message);
  const unknown = await ann.chat.invoke("NoSuchMethod").then(() => null, (error) => error.message);

  // A lost transport is replaced, and nothing is lost.
  const reconnected = new Promise((resolve) => ann.hub.reconnected(resolve));
  ann.hub.transport.lostConnection(ann.hub);
  await bob.chat.server.send("bob", "meanwhile");
  if (transport !== "longPolling") await reconnected;
  const isThere = ({ received }) => received.filter(([, text]) => text === "meanwhile").length;
  await until("the message of the time between", () => isThere(ann));
  await ann.chat.server.send("ann", "again");
  await until("a message after the loss", () =>
    ann.received.some(([, message]) => message === "again"),
  );
  const after = ann.received.splice(0);

  for (const { hub } of [ann, bob]) hub.stop();
  await core.hub.stop();
  report({ received, room, refused, unknown, after, states: ann.states });
});

async function connectCore(page) {
  const received = [];
  const hub = new HubConnectionBuilder()
    .withUrl(new URL("chatHub", page).href, { transport: HttpTransportType.WebSockets })
    .configureLogging(LogLevel.Warning)
    .build();
  hub.on("broadcastMessage", (...args) => { received.push(args); });
  await hub.start();
  return { hub, received };
}

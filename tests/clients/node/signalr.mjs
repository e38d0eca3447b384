// Two unmodified SignalR clients, one on each chat server, exchange messages.
//
// usage: node signalr.mjs PAGE PAGE COUNT
// prints {"received": [[[name, message], …] of the first, … of the second]}

import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";
import { report, run, until } from "./lib.mjs";

await run("signalr.mjs PAGE PAGE COUNT", async (first, second, count) => {
  const ann = await connect("ann", first);
  const bob = await connect("bob", second);

  for (let number = 0; number < Number(count); number++) {
    const sender = number % 2 === 0 ? ann : bob;
    // The invocation has a result, so the hub has run Send when this returns.
    await sender.hub.invoke("Send", sender.name, `message ${number}`);
  }
  await ann.hub.invoke("Send", ann.name, "end");
  const hasEnd = ({ received }) => received.some(([, message]) => message === "end");
  await until("the last message at both", () => hasEnd(ann) && hasEnd(bob));

  await ann.hub.stop();
  await bob.hub.stop();
  report({ received: [ann.received, bob.received] });
});

async function connect(name, page) {
  const received = [];
  const hub = new HubConnectionBuilder()
    .withUrl(new URL("chatHub", page).href, { transport: HttpTransportType.WebSockets })
    .configureLogging(LogLevel.Warning)
    .build();
  hub.on("broadcastMessage", (...args) => { received.push(args); });
  await hub.start();
  return { name, hub, received };
}

// Two unmodified SignalR clients, one on each chat server, exchange messages.
//
// usage: node signalr.mjs PAGE PAGE COUNT TRANSPORT
// TRANSPORT is a name of HttpTransportType, such as LongPolling.
// prints {"received": [[[name, message], …] of the first, … of the second]}

import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";
import { report, run, until } from "./lib.mjs";

await run("signalr.mjs PAGE PAGE COUNT TRANSPORT", async (first, second, count, transport) => {
  const ann = await connect("ann", first, transport);
  const bob = await connect("bob", second, transport);

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

async function connect(name, page, transport) {
  const received = [];
  if (!(transport in HttpTransportType)) throw new Error(`unknown transport ${transport}`);
  const hub = new HubConnectionBuilder()
    .withUrl(new URL("chatHub", page).href, { transport: HttpTransportType[transport] })
    .configureLogging(LogLevel.Warning)
    .build();
  hub.on("broadcastMessage", (...args) => { received.push(args); });
  await hub.start();
  return { name, hub, received };
}

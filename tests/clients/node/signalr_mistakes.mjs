// The errors that an unmodified SignalR client gets for invalid calls.
//
// usage: node signalr_mistakes.mjs PAGE
// prints {"method": reason, "arguments": reason, "after": "connected"}

import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { report, run } from "./lib.mjs";

await run("signalr_mistakes.mjs PAGE", async (page) => {
  const hub = new HubConnectionBuilder()
    .withUrl(new URL("chatHub", page).href)
    .configureLogging(LogLevel.None)
    .build();
  hub.on("broadcastMessage", () => {});
  await hub.start();
  const method = await reason(hub.invoke("NoSuchMethod"));
  const args = await reason(hub.invoke("Send", "ann"));
  await hub.invoke("Send", "ann", "still here");
  report({ method, arguments: args, after: hub.state });
  await hub.stop();
});

async function reason(invocation) {
  try {
    await invocation;
    return null;
  } catch (error) {
    return error.message;
  }
}

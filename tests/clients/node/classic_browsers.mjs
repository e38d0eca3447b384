// The unmodified client of SignalR 2 in two pages of headless Chromium, one on each chat server.
//
// usage: node classic_browsers.mjs PAGE PAGE
// prints {"transport": {"transports": [name of ann's, of bob's], "received": [[[name, message], …]
//         of ann, … of bob]}, …} with an entry for "auto" and for each transport

import { readFileSync } from "node:fs";
import { browse } from "./chat_page.mjs";
import { SCRIPTS } from "./classic.mjs";
import { report, run, until } from "./lib.mjs";

const TRANSPORTS = ["auto", "webSockets", "serverSentEvents", "longPolling"];

await run("classic_browsers.mjs PAGE PAGE", async (first, second) => {
  await browse([first, second], async (pages) => {
    for (const page of pages) {
      for (const script of SCRIPTS) await page.evaluate(readFileSync(script, "utf8"));
      await page.addScriptTag({ url: "/signalr/hubs" });
      await page.evaluate(() => {
        window.received = [];
        $.connection.chatHub.client.broadcastMessage = (...args) => { received.push(args); };
      });
    }
    const results = {};
    for (const transport of TRANSPORTS) results[transport] = await exchange(pages, transport);
    report(results);
  });
});

async function exchange(pages, transport) {
  const transports = [];
  for (const page of pages) {
    transports.push(await page.evaluate(async (transport) => {
      received.length = 0;
      await $.connection.hub.start({ transport });
      return $.connection.hub.transport.name;
    }, transport));
  }
  const [ann, bob] = pages;
  const send = (page, name, message) => page.evaluate(
    ([name, message]) => $.connection.chatHub.server.send(name, message).then(() => null),
    [name, message],
  );
  await send(ann, "ann", `by ${transport}`);
  await send(bob, "bob", "end");
  for (const page of pages) {
    await until(`the end on ${page.url()} by ${transport}`, () =>
      page.evaluate(() => received.some(([, message]) => message === "end")),
    );
  }
  const received = await Promise.all(pages.map((page) => page.evaluate(() => window.received)));
  for (const page of pages) await page.evaluate(() => { $.connection.hub.stop(); });
  return { transports, received };
}

// Two pages of the chat in headless Chromium, one on each server, exchange messages.
//
// usage: node browsers.mjs PAGE PAGE COUNT
// prints {"seen": [[text of each message at the first], … at the second], "servers": [text, text]}

import { browse, join, messages, send, server } from "./chat_page.mjs";
import { report, run, until } from "./lib.mjs";

await run("browsers.mjs PAGE PAGE COUNT", async (first, second, count) => {
  await browse([first, second], async (pages) => {
    const [ann, bob] = pages;
    await join(ann, "ann");
    await join(bob, "bob");
    for (const page of pages) await until("the server", async () => (await server(page)).includes(":"));
    const servers = await Promise.all(pages.map(server));

    for (let number = 0; number < Number(count); number++) {
      const [sender, name] = number % 2 === 0 ? [ann, "ann"] : [bob, "bob"];
      const message = `message-${number}.`;
      await send(sender, name, message);
      await seenBy(pages, message);
    }
    await send(ann, "ann", "the-end.");
    await seenBy(pages, "the-end.");

    report({ seen: await Promise.all(pages.map(messages)), servers });
  });
});

async function seenBy(pages, message) {
  for (const page of pages) {
    await until(`${message} on ${page.url()}`, async () =>
      (await messages(page)).some((text) => text.includes(message)),
    );
  }
}

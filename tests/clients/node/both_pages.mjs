// The chat's page and its page for SignalR 2, one on each server, on the screens of a computer and of a phone.
//
// usage: node both_pages.mjs PAGE PAGE
// prints {"messages": [[text of each message at the first], … at the second], "servers": [text, text],
//         "faults": [line, …]}

import { faults } from "./axe.mjs";
import { browse, connected, join, messages, send } from "./chat_page.mjs";
import { report, run, until } from "./lib.mjs";

const SCREENS = [{ width: 1200, height: 800 }, { width: 320, height: 568 }];
const LONG = "a word that does not fit on a phone: Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen";

await run("both_pages.mjs PAGE PAGE", async (first, second) => {
  await browse([first, new URL("classic", second).href], async (pages) => {
    const [core, classic] = pages;
    await join(core, "core");
    await connected(classic);
    const found = [];
    for (const screen of SCREENS) {
      for (const page of pages) await page.setViewportSize(screen);
      await exchange(pages, core, "core", `${LONG} ${screen.width}`);
      await exchange(pages, classic, "classic", `${LONG} ${screen.width}`);
      for (const [index, page] of pages.entries()) {
        found.push(...(await faults(page, `${["core", "classic"][index]}-${screen.width}`)));
      }
    }
    report({
      messages: await Promise.all(pages.map(messages)),
      servers: await Promise.all(pages.map((page) => page.textContent("#server"))),
      faults: found,
    });
  });
});

/** Sends a message, and waits until both pages show it. */
async function exchange(pages, sender, name, text) {
  const before = await messages(sender);
  await send(sender, name, text);
  for (const page of pages) {
    await until(`a message of ${name}`, async () => (await messages(page)).length > before.length);
  }
}

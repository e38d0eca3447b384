// The banner of a chat page when the servers' backplane does not work.
//
// usage: node browser_error.mjs PAGE EXPECTED
// prints {"backplane": text of the banner} once it contains EXPECTED and is visible

import { browse, join } from "./chat_page.mjs";
import { report, run, until } from "./lib.mjs";

await run("browser_error.mjs PAGE EXPECTED", async (address, expected) => {
  await browse([address], async ([page]) => {
    await join(page, "ann");
    const banner = page.locator("#backplane");
    await until(`${expected} in the banner`, async () => {
      return (await banner.isVisible()) && (await banner.textContent()).includes(expected);
    });
    report({ backplane: await banner.textContent() });
  });
});

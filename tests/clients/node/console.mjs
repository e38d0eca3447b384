// The broker's console page, on the screens of a computer and of a phone.
//
// usage: node console.mjs PAGE TOKEN CLIENT
// Logs in, watches what it publishes, closes the client with this name, and changes maxclients.
// prints {"rows": [text, …], "lines": [text, …], "markup": number, "errors": [text, text], "answer": text,
//         "faults": [line, …]}

import { faults } from "./axe.mjs";
import { browse } from "./chat_page.mjs";
import { report, run, until } from "./lib.mjs";

const SCREENS = [{ width: 1200, height: 800 }, { width: 360, height: 640 }];
// JavaScript has no such number.
const MESSAGE = '{"id":12345678901234567890,"text":"<b>hello</b> Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen"}';

await run("console.mjs PAGE TOKEN CLIENT", async (address, token, client) => {
  await browse([address], async ([page]) => {
    const show = (view) => page.click(`#tab-${view}`);
    await page.fill("#token", token);
    await page.click("#login button");
    await until("figures", async () => (await page.textContent("#figures")).includes("Clients"));

    await show("messages");
    await page.fill("#tap-pattern", "Chat*");
    await page.click("#tap-start");
    await page.fill("#publish-channel", "ChatApp");
    await page.fill("#publish-message", MESSAGE);
    // The tap begins a moment after the click.
    await until("a line of the tap", async () => {
      await page.click("#publish button");
      return (await page.locator("#lines li").count()) > 0;
    });
    await show("channels");
    await until("the rate of the channel", async () => {
      await page.evaluate(() => document.querySelector("#publish").requestSubmit());
      const rates = page.locator("#channel-rows tr td:nth-child(3)");
      return (await rates.allTextContents()).some((rate) => rate > 0);
    });
    const rows = await page.locator("#channel-rows tr td.name").allTextContents();
    const lines = await page.locator("#lines li").allTextContents();
    const markup = await page.locator("#lines li b b").count();

    const found = [];
    for (const screen of SCREENS) {
      await page.setViewportSize(screen);
      for (const view of ["channels", "messages", "clients", "settings"]) {
        await show(view);
        if (view === "clients") await page.waitForSelector("#client-rows tr");
        if (view === "settings") await page.waitForSelector("#setting-rows input");
        found.push(...(await faults(page, `console-${view}-${screen.width}`)));
      }
    }

    // By the keyboard alone: a row keeps the focus while its figures change.
    await page.focus("#tab-messages");
    await page.keyboard.press("ArrowRight");
    page.on("dialog", (dialog) => dialog.accept());
    const row = page.locator("#client-rows tr", { hasText: client });
    const age = row.locator("td:nth-child(9)");
    await row.locator("button").focus();
    const before = await age.textContent();
    await until("another age", async () => (await age.textContent()) !== before);
    await page.keyboard.press("Enter");
    await until("the end of the client", async () => (await row.count()) === 0);

    // An error stays, though other parts of the page are asked again.
    await show("messages");
    await page.click("#tap-start");
    await page.fill("#tap-pattern", "__tap__:x");
    await page.click("#tap-start");
    const trouble = page.locator("#messages > .trouble");
    await until("the error", async () => (await trouble.textContent()) !== "");
    const error = await trouble.textContent();
    await page.waitForResponse((response) => response.url().endsWith("/command"));
    await page.waitForResponse((response) => response.url().endsWith("/command"));
    const later = await trouble.textContent();

    await show("settings");
    await page.fill("#setting-maxclients", "77");
    await page.press("#setting-maxclients", "Enter");
    await until("the answer", async () => (await page.textContent("#setting-result")) !== "");
    const answer = await page.textContent("#setting-result");
    report({ rows, lines, markup, errors: [error, later], answer, faults: found });
  });
});

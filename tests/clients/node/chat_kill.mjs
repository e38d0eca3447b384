// Two people talk over a load balancer in headless Chromium while the server of one of them is killed.
//
// usage: node chat_kill.mjs PAGE COUNT ADDRESS=PID ...
// prints {"servers": [before, after], "shown": [messages of the one, of the other]}

import { browse, join, messages, send, server } from "./chat_page.mjs";
import { report, run, until } from "./lib.mjs";

await run("chat_kill.mjs PAGE COUNT ADDRESS=PID ...", async (page, count, ...processes) => {
  const pids = new Map(processes.map((process) => process.split("=")));
  await browse([page, page], async (pages) => {
    const [ann, bob] = pages;
    await join(ann, "ann", "red");
    await join(bob, "bob", "red");
    for (const page of pages) await until("the server", async () => pids.has(await server(page)));
    await until("both people", async () => (await ann.textContent("#count")) === "2");
    const before = await server(ann);

    for (let number = 0; number < Number(count); number++) {
      // In the middle of the messages, and not between two of them.
      if (number === Math.floor(count / 2)) process.kill(Number(pids.get(before)), "SIGKILL");
      await send(ann, "ann", `ann ${number}`);
      await send(bob, "bob", `bob ${number}`);
    }
    for (const page of pages) {
      for (const name of ["ann", "bob"]) {
        const last = `${name}: ${name} ${count - 1}`;
        await until(`"${last}" at ${page.url()}`, async () => (await messages(page)).includes(last));
      }
      await until("all confirmations", async () =>
        (await page.locator("#messages .mine .status").allTextContents()).every((status) => status === "sent ✓"),
      );
    }
    const after = await server(ann);
    report({ servers: [before, after], shown: await Promise.all(pages.map(messages)) });
  });
});

// ioredis.
//
// usage: node ioredis.mjs PORT PASSWORD

import { Redis } from "ioredis";
import { until } from "./lib.mjs";
import { BINARY, Inbox, equal, numbers, ok, rejects, runSteps } from "./steps.mjs";

const MESSAGES = 200;

await runSteps("ioredis.mjs PORT PASSWORD", {
  "connects with the password only": async (server) => {
    await withClients(server, 1, async ([client]) => {
      equal(await client.ping(), "PONG");
      equal(await client.ping("hello"), "hello");
      equal(await client.echo("hello"), "hello");
    });
    for (const password of [undefined, "wrong"]) {
      const stranger = new Redis({ ...server, password, retryStrategy: null });
      stranger.on("error", () => {});
      await rejects(stranger.ping());
      stranger.disconnect();
    }
  },

  "receives once and in order": async (server) => {
    await withClients(server, 2, async ([publisher, subscriber]) => {
      const { texts, patterns, bytes } = inboxes(subscriber);
      equal(await subscriber.subscribe("news", "binary"), 2);
      equal(await subscriber.psubscribe("new?"), 3);
      for (const text of numbers(MESSAGES)) equal(await publisher.publish("news", text), 2);
      equal(await texts.take(MESSAGES), numbers(MESSAGES).map((text) => ["news", text]));
      equal(await patterns.take(MESSAGES), numbers(MESSAGES).map((text) => ["new?", "news", text]));
      await bytes.take(MESSAGES);
      equal(await publisher.publish("binary", BINARY), 1);
      equal(await publisher.publish("nobody", "lost"), 0);
      equal(await bytes.next(), BINARY);
      equal(await subscriber.unsubscribe("news"), 2);
      equal(await publisher.publish("news", "for the pattern"), 1);
      equal(await patterns.next(), ["new?", "news", "for the pattern"]);
      equal(await subscriber.punsubscribe("new?"), 1);
      equal(await subscriber.ping(), ["pong", ""]);
      equal(await subscriber.unsubscribe("binary"), 0);
      equal(await subscriber.echo("no longer subscribed"), "no longer subscribed");
    });
  },

  "publishes without waiting, in order": async (server) => {
    await withClients({ ...server, enableAutoPipelining: true }, 2, async ([publisher, subscriber]) => {
      const { texts } = inboxes(subscriber);
      await subscriber.subscribe("news");
      const counts = await Promise.all(numbers(2000).map((text) => publisher.publish("news", text)));
      equal(new Set(counts), new Set([1]));
      equal(await texts.take(2000), numbers(2000).map((text) => ["news", text]));
    });
  },

  "receives from shard channels": async (server) => {
    await withClients(server, 2, async ([publisher, subscriber]) => {
      const shards = new Inbox();
      subscriber.on("smessageBuffer", (channel, message) => shards.push([`${channel}`, message]));
      equal(await subscriber.ssubscribe("shard-news"), 1);
      equal(await publisher.pubsub("SHARDCHANNELS"), ["shard-news"]);
      equal(await publisher.pubsub("SHARDNUMSUB", "shard-news"), ["shard-news", 1]);
      equal(await publisher.publish("shard-news", "to channels"), 0);
      equal(await publisher.spublish("shard-news", BINARY), 1);
      equal(await shards.next(), ["shard-news", BINARY]);
      equal(await subscriber.sunsubscribe("shard-news"), 0);
    });
  },

  "lists channels and counts subscribers": async (server) => {
    await withClients(server, 2, async ([client, subscriber]) => {
      await subscriber.subscribe("a1", "a2", "b1");
      await subscriber.psubscribe("a*", "b*");
      equal((await client.pubsub("CHANNELS")).sort(), ["a1", "a2", "b1"]);
      equal((await client.pubsub("CHANNELS", "a*")).sort(), ["a1", "a2"]);
      equal(await client.pubsub("NUMSUB", "a1", "none"), ["a1", 1, "none", 0]);
      equal(await client.pubsub("NUMPAT"), 2);
    });
  },

  "lists and kills clients": async (server) => {
    await withClients({ ...server, connectionName: "ann" }, 2, async ([client, other]) => {
      equal(await client.client("GETNAME"), "ann");
      equal(await client.client("SETNAME", "bob"), "OK");
      const id = await client.client("ID");
      ok((await client.client("INFO")).includes(`id=${id} `));
      const names = (await client.client("LIST")).match(/ name=\w*/g).sort();
      equal(names, [" name=ann", " name=bob"]);
      equal(await client.client("KILL", "ID", await other.client("ID")), 1);
      await rejects(client.client("KILL", "127.0.0.1:1"), /No such client/);
      equal(await other.ping(), "PONG");
      equal(await client.client("NO-EVICT", "ON"), "OK");
    });
  },

  "reconnects after client kill": async (server) => {
    await withClients(server, 2, async ([publisher, subscriber]) => {
      const { texts, patterns } = inboxes(subscriber);
      await subscriber.subscribe("news");
      await subscriber.psubscribe("n*");
      const again = new Promise((resolve) => subscriber.once("ready", resolve));
      equal(await publisher.client("KILL", "TYPE", "pubsub"), 1);
      await again;
      await until("subscribed again", async () =>
        (await publisher.pubsub("NUMSUB", "news"))[1] === 1 && (await publisher.pubsub("NUMPAT")) === 1);
      equal(await publisher.publish("news", "after"), 2);
      equal([await texts.next(), await patterns.next()], [["news", "after"], ["n*", "news", "after"]]);
    });
  },

  "publishes in transactions and pipelines": async (server) => {
    await withClients(server, 2, async ([client, subscriber]) => {
      const { texts } = inboxes(subscriber);
      await subscriber.subscribe("news");
      for (const batch of [client.multi(), client.pipeline()]) {
        for (const text of numbers(20)) batch.publish("news", text);
        equal(await batch.exec(), Array(20).fill([null, 1]));
        equal(await texts.take(20), numbers(20).map((text) => ["news", text]));
      }
      await client.watch("key");
      equal(await client.multi().publish("news", "watched").exec(), [[null, 1]]);
      equal(await client.multi({ pipeline: false }), "OK");
      equal(await client.publish("news", "by hand"), "QUEUED");
      equal(await client.exec(), [[null, 1]]);
      await rejects(client.multi().publish("news", "never").call("NOSUCHCOMMAND").exec(), /EXECABORT/);
      await client.publish("news", "last");
      equal((await texts.take(3)).map(([, text]) => text), ["watched", "by hand", "last"]);
    });
  },

  "reads and changes the configuration": async (server) => {
    await withClients(server, 1, async ([client]) => {
      equal(await client.config("GET", "maxclients"), ["maxclients", "10000"]);
      equal(await client.config("SET", "timeout", "77"), "OK");
      equal(await client.config("GET", "timeout"), ["timeout", "77"]);
      equal(await client.config("SET", "timeout", "0"), "OK");
      await rejects(client.config("SET", "nosuchdirective", "1"), /Unknown option/);
    });
  },

  "reads info and commands of the server": async (server) => {
    await withClients(server, 1, async ([client]) => {
      // ioredis reads this before it emits "ready".
      ok((await client.info()).includes("\r\nloading:0\r\n"));
      ok((await client.info("server")).includes("\r\nredis_mode:standalone\r\n"));
      ok((await client.info("clients")).includes("connected_clients:1"));
      ok((await client.command("INFO", "publish"))[0].includes("publish"));
      ok((await client.command()).length === (await client.command("COUNT")));
      equal((await client.role())[0], "master");
      equal(await client.dbsize(), 0);
      ok((await client.lolwut()).length > 0);
    });
  },

  "monitors requests of others": async (server) => {
    await withClients(server, 2, async ([client, other]) => {
      const watcher = await other.monitor();
      const seen = new Inbox();
      watcher.on("monitor", (time, args, source, database) => seen.push([args, database]));
      await client.publish("news", 'a "quoted" word');
      let found;
      do found = await seen.next(); while (found[0][0].toLowerCase() !== "publish");
      equal(found, [["publish", "news", 'a "quoted" word'], "0"]);
      watcher.disconnect();
    });
  },

  "lists and changes users": async (server) => {
    await withClients(server, 1, async ([client]) => {
      equal(await client.acl("WHOAMI"), "default");
      ok((await client.acl("LIST"))[0].startsWith("user default on"));
      await client.acl("SETUSER", "ann", "on", ">anns", "resetchannels", "&news*", "+@pubsub",
        "+@connection", "+info");
      await withClients({ ...server, username: "ann", password: "anns" }, 1, async ([ann]) => {
        equal(await ann.publish("news1", "hello"), 0);
        await rejects(ann.publish("secrets", "hello"), /NOPERM/);
      });
      equal(await client.acl("DELUSER", "ann"), 1);
    });
  },
});

/** Connects clients for a function, and disconnects all of them at the end. */
async function withClients({ host, port, password, ...options }, count, use) {
  const clients = numbers(count).map(() => new Redis({ host, port, password, ...options }));
  try {
    for (const client of clients) client.on("error", () => {}); // it connects again
    await Promise.all(clients.map((client) => client.ping()));
    await use(clients);
  } finally {
    for (const client of clients) client.disconnect();
  }
}

function inboxes(subscriber) {
  const [texts, patterns, bytes] = [new Inbox(), new Inbox(), new Inbox()];
  subscriber.on("message", (channel, message) => {
    if (channel !== "binary") texts.push([channel, message]);
  });
  subscriber.on("pmessage", (...message) => patterns.push(message));
  subscriber.on("messageBuffer", (channel, message) => bytes.push(message));
  return { texts, patterns, bytes };
}

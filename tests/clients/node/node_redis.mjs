// node-redis (`redis`).
//
// usage: node node_redis.mjs PORT PASSWORD PROTOCOL

import { defineScript, createClient, RESP_TYPES } from "redis";
import { until } from "./lib.mjs";
import { BINARY, Inbox, equal, numbers, ok, rejects, runSteps } from "./steps.mjs";

const MESSAGES = 200;

await runSteps("node_redis.mjs PORT PASSWORD PROTOCOL", {
  "connects with the password only": async (server, protocol) => {
    await using_(clients(server, protocol, 1, { name: "ann" }), async ([client]) => {
      equal(await client.ping(), "PONG");
      equal(await client.echo("hello"), "hello");
      equal(await client.clientGetName(), "ann");
      equal((await client.clientInfo()).resp, Number(protocol));
    });
    for (const password of [undefined, "wrong"]) {
      const stranger = createClient({
        RESP: Number(protocol),
        socket: { port: server.port, reconnectStrategy: false },
        password,
      });
      stranger.on("error", () => {});
      await rejects(stranger.connect().then(() => stranger.ping()), /NOAUTH|WRONGPASS/);
      if (stranger.isOpen) stranger.destroy();
    }
  },

  "receives once and in order": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([publisher, subscriber]) => {
      const [texts, patterns, bytes] = [new Inbox(), new Inbox(), new Inbox()];
      await subscriber.subscribe("news", texts.push);
      await subscriber.pSubscribe("new?", (message, channel) => patterns.push([channel, message]));
      await subscriber.subscribe("binary", bytes.push, true);
      for (const text of numbers(MESSAGES)) equal(await publisher.publish("news", text), 2);
      equal(await publisher.publish("binary", BINARY), 1);
      equal(await publisher.publish("nobody", "lost"), 0);
      equal(await texts.take(MESSAGES), numbers(MESSAGES));
      equal(await patterns.take(MESSAGES), numbers(MESSAGES).map((text) => ["news", text]));
      equal(await bytes.next(), BINARY);
      await subscriber.unsubscribe("news");
      equal(await publisher.publish("news", "for the pattern"), 1);
      equal(await patterns.next(), ["news", "for the pattern"]);
      await subscriber.pUnsubscribe("new?");
      await subscriber.unsubscribe(["binary"]);
      equal(await publisher.publish("news", "lost"), 0);
      equal(await subscriber.ping().then(String), "PONG"); // bytes, after bytes were subscribed to
    });
  },

  "publishes without waiting, in order": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([publisher, subscriber]) => {
      const texts = new Inbox();
      await subscriber.subscribe("news", texts.push);
      const counts = await Promise.all(numbers(2000).map((text) => publisher.publish("news", text)));
      equal(new Set(counts), new Set([1]));
      equal(await texts.take(2000), numbers(2000));
    });
  },

  "receives from shard channels": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([publisher, subscriber]) => {
      const bytes = new Inbox();
      await subscriber.sSubscribe("shard-news", bytes.push, true);
      equal(await publisher.pubSubShardChannels(), ["shard-news"]);
      equal({ ...(await publisher.pubSubShardNumSub(["shard-news"])) }, { "shard-news": 1 });
      equal(await publisher.publish("shard-news", "to channels"), 0);
      equal(await publisher.sPublish("shard-news", BINARY), 1);
      equal(await bytes.next(), BINARY);
      await subscriber.sUnsubscribe("shard-news");
      equal(await publisher.sPublish("shard-news", "lost"), 0);
    });
  },

  "lists channels and counts subscribers": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([client, subscriber]) => {
      await subscriber.subscribe(["a1", "a2", "b1"], () => {});
      await subscriber.pSubscribe(["a*", "b*"], () => {});
      equal((await client.pubSubChannels()).sort(), ["a1", "a2", "b1"]);
      equal((await client.pubSubChannels("a*")).sort(), ["a1", "a2"]);
      equal({ ...(await client.pubSubNumSub(["a1", "none"])) }, { a1: 1, none: 0 });
      equal(await client.pubSubNumPat(), 2);
    });
  },

  "lists and kills clients": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([client, other]) => {
      const id = await client.clientId();
      equal(await client.clientSetName("ann"), "OK");
      const info = await client.clientInfo();
      equal([info.id, info.name, info.cmd], [id, "ann", "client|info"]);
      const listed = await client.clientList();
      ok(listed.some((entry) => entry.name === "ann" && entry.id === id));
      equal(await client.clientKill({ filter: "ID", id: await other.clientId() }), 1);
      equal(await client.clientKill({ filter: "ID", id: 999_999 }), 0);
      equal(await client.clientKill({ filter: "ADDR", address: "127.0.0.1:1" }), 0);
      equal(await client.clientNoEvict(true), "OK");
      equal(await client.clientPause(1), "OK");
      equal(await client.clientUnpause(), "OK");
      equal(await other.ping(), "PONG");
    });
  },

  "reconnects after client kill": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([publisher, subscriber]) => {
      const texts = new Inbox();
      await subscriber.subscribe("news", texts.push);
      await subscriber.pSubscribe("n*", texts.push);
      await subscriber.sSubscribe("shard-news", texts.push);
      const ready = new Promise((resolve) => subscriber.once("ready", resolve));
      const victims = await publisher.clientList({ TYPE: "PUBSUB" });
      equal(victims.length, 1);
      equal(await publisher.clientKill({ filter: "ID", id: victims[0].id }), 1);
      await ready;
      await until("subscribed again", async () => {
        const { news } = await publisher.pubSubNumSub(["news"]);
        const shard = (await publisher.pubSubShardNumSub(["shard-news"]))["shard-news"];
        return news === 1 && shard === 1 && (await publisher.pubSubNumPat()) === 1;
      });
      equal(await publisher.publish("news", "after"), 2);
      equal(await publisher.sPublish("shard-news", "after"), 1);
      equal(await texts.take(3), ["after", "after", "after"]);
    });
  },

  "publishes in transactions and pipelines": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([client, subscriber]) => {
      const texts = new Inbox();
      await subscriber.subscribe("news", texts.push);
      for (const exec of ["exec", "execAsPipeline"]) {
        const multi = client.multi();
        for (const text of numbers(20)) multi.publish("news", text);
        equal(await multi.ping()[exec](), [...Array(20).fill(1), "PONG"]);
        equal(await texts.take(20), numbers(20));
      }
      await client.watch("key");
      equal(await client.multi().publish("news", "watched").exec(), [1]);
      await rejects(client.multi().publish("news", "never").addCommand(["NOSUCHCOMMAND"]).exec());
      await client.publish("news", "last");
      equal(await texts.take(2), ["watched", "last"]);
    });
  },

  "reads and changes the configuration": async (server, protocol) => {
    await using_(clients(server, protocol, 1), async ([client]) => {
      equal({ ...(await client.configGet("maxclients")) }, { maxclients: "10000" });
      equal(Object.keys(await client.configGet(["timeout", "tcp-keepalive"])).sort(),
        ["tcp-keepalive", "timeout"]);
      equal(await client.configSet("timeout", "77"), "OK");
      equal({ ...(await client.configGet("timeout")) }, { timeout: "77" });
      equal(await client.configSet({ timeout: "0", "tcp-keepalive": "300" }), "OK");
      await rejects(client.configSet("nosuchdirective", "1"), /Unknown option/);
    });
  },

  "reads info and commands of the server": async (server, protocol) => {
    await using_(clients(server, protocol, 1), async ([client]) => {
      const info = await client.info();
      for (const field of ["redis_version", "tcp_port", "connected_clients", "pubsub_channels"]) {
        ok(new RegExp(`^${field}:`, "m").test(info), field);
      }
      ok((await client.info("server")).startsWith("# Server"));
      ok((await client.time()) instanceof Date || Array.isArray(await client.time()));
      equal(await client.dbSize(), 0);
      equal((await client.role()).role, "master");
      const commands = await client.command();
      equal(await client.commandCount(), commands.length);
      const publish = commands.find(({ name }) => name === "publish");
      equal(publish.arity, 3);
      equal((await client.commandInfo(["publish"]))[0].name, "publish");
      ok((await client.commandList()).map((name) => name.toLowerCase()).includes("subscribe"));
      const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      equal(await bytes.echo("hello"), Buffer.from("hello"));
    });
  },

  "monitors requests of others": async (server, protocol) => {
    await using_(clients(server, protocol, 2), async ([client, watcher]) => {
      const lines = new Inbox();
      await watcher.monitor(lines.push);
      await client.publish("news", 'a "quoted" word');
      let line;
      do line = await lines.next(); while (!line.includes("PUBLISH"));
      ok(line.endsWith('"PUBLISH" "news" "a \\"quoted\\" word"'), line);
      ok(/^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] /.test(line), line);
    });
  },

  "uses commands while subscribed where the protocol lets it": async (server, protocol) => {
    await using_(clients(server, protocol, 1), async ([client]) => {
      const texts = new Inbox();
      await client.subscribe("news", texts.push);
      if (protocol === "3") equal(await client.publish("news", "to myself"), 1);
      else await rejects(client.publish("news", "to myself"));
      if (protocol === "3") equal(await texts.next(), "to myself");
      await client.unsubscribe("news");
      equal(await client.publish("news", "lost"), 0);
    });
  },

  "runs scripts": async (server, protocol) => {
    const scripts = {
      tell: defineScript({
        SCRIPT: "redis.call('publish', KEYS[1], ARGV[1]) return ARGV[1]",
        NUMBER_OF_KEYS: 1,
        parseCommand(parser, channel, text) {
          parser.pushKey(channel);
          parser.push(text);
        },
        transformReply: (reply) => reply,
      }),
    };
    await using_(clients(server, protocol, 1, { scripts }), async ([client]) => {
      equal(await client.tell("news", "hello"), "hello");
      equal(await client.tell("news", "again"), "again");
      equal(await client.scriptFlush(), "OK");
      equal(await client.tell("news", "loaded anew"), "loaded anew");
      const sha = await client.scriptLoad("return {KEYS[1], ARGV[1], 7}");
      equal(await client.evalSha(sha, { keys: ["k"], arguments: ["a"] }), ["k", "a", 7]);
      equal(await client.scriptExists([sha, "0".repeat(40)]), [1, 0]);
      await rejects(client.evalSha("0".repeat(40)), /NOSCRIPT/);
      await rejects(client.eval("return redis.call('nosuch')"), /Unknown Redis command/);
      equal(await client.multi().eval("return 1").exec(), [1]);
    });
  },

  "lists and changes users": async (server, protocol) => {
    await using_(clients(server, protocol, 1), async ([client]) => {
      equal(await client.aclWhoAmI(), "default");
      equal(await client.aclUsers(), ["default"]);
      ok((await client.aclList())[0].startsWith("user default on"));
      ok((await client.aclCat()).includes("pubsub"));
      equal(await client.aclSetUser("ann", ["on", ">anns", "resetchannels", "&news*", "+@pubsub",
        "+@connection"]), "OK");
      equal((await client.aclGetUser("ann")).channels, "&news*");
      const ann = { username: "ann", password: "anns" };
      await using_(clients(server, protocol, 1, ann), async ([limited]) => {
        equal(await limited.publish("news1", "hello"), 0);
        await rejects(limited.publish("secrets", "hello"), /NOPERM/);
      });
      equal(await client.aclDelUser("ann"), 1);
    });
  },
});

/** Connected clients. */
async function clients({ port, password }, protocol, count, options = {}) {
  const found = [];
  for (let number = 0; number < count; number += 1) {
    const client = createClient({ RESP: Number(protocol), socket: { port }, password, ...options });
    client.on("error", () => {}); // emitted when it is killed; then it reconnects
    await client.connect();
    found.push(client);
  }
  return found;
}

/** Runs a function with the clients, and disconnects all of them at the end. */
async function using_(opening, use) {
  const opened = await opening;
  try {
    await use(opened);
  } finally {
    for (const client of opened) client.destroy();
  }
}

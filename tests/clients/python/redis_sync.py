"""redis-py, blocking.

usage: python redis_sync.py PORT PASSWORD PROTOCOL
"""

import redis

from lib import BINARY, DEADLINE, contains, equal, raises, run, until

MESSAGES = 200


class Steps:
    """Each method is a step with its own connections."""

    def __init__(self, server, protocol):
        self.server = server
        self.protocol = int(protocol)

    def client(self, **options):
        options = {"password": self.server.password, "protocol": self.protocol} | options
        return redis.Redis(self.server.host, self.server.port, socket_timeout=DEADLINE, **options)

    def connects_with_the_password_only(self):
        with self.client() as client:
            equal(client.ping(), True)
            equal(client.echo("hello"), b"hello")
        with self.client(password=None) as stranger:
            text = raises(redis.AuthenticationError, stranger.ping)
            contains(text.lower(), "authentic")
        with self.client(password="wrong") as guesser:
            contains(raises(redis.AuthenticationError, guesser.ping), "invalid username-password")
        with redis.Redis.from_url(self.server.url, protocol=self.protocol) as client:
            equal(client.ping(), True)
        with self.client(username="default", client_name="ann") as client:
            equal(as_text(client.client_getname()), "ann")

    def uses_the_protocol_it_asked_for(self):
        with self.client() as client:
            hello = client.execute_command("HELLO")
            if isinstance(hello, list):
                hello = dict(zip(hello[::2], hello[1::2]))
            equal(hello[b"proto"], self.protocol)
            equal(hello[b"server"], b"redis")
            equal(hello[b"mode"], b"standalone")
            equal(hello[b"role"], b"master")

    def receives_once_and_in_order(self):
        with self.client() as publisher, self.client().pubsub() as pubsub:
            pubsub.subscribe("news", b"bin\xff\x00")
            pubsub.psubscribe("new?")
            equal([next_of(pubsub) for _ in range(3)], [
                received("subscribe", b"news", 1),
                received("subscribe", b"bin\xff\x00", 2),
                received("psubscribe", b"new?", 3),
            ])
            for number in range(MESSAGES):
                equal(publisher.publish("news", f"message {number}"), 2)
            equal(publisher.publish(b"bin\xff\x00", BINARY), 1)
            equal(publisher.publish("nobody", "lost"), 0)
            for number in range(MESSAGES):
                text = f"message {number}".encode()
                pair = [next_of(pubsub), next_of(pubsub)]
                contains(pair, received("message", b"news", text))
                contains(pair, received("pmessage", b"news", text, b"new?"))
            equal(next_of(pubsub), received("message", b"bin\xff\x00", BINARY))
            pubsub.unsubscribe("news")
            equal(next_of(pubsub), received("unsubscribe", b"news", 2))
            equal(publisher.publish("news", "for the pattern"), 1)
            equal(next_of(pubsub), received("pmessage", b"news", b"for the pattern", b"new?"))
            pubsub.punsubscribe()
            equal(next_of(pubsub), received("punsubscribe", b"new?", 1))
            pubsub.ping("still here")
            equal(next_of(pubsub)["data"], b"still here")
            pubsub.unsubscribe()
            equal(next_of(pubsub), received("unsubscribe", b"bin\xff\x00", 0))
            equal(pubsub.subscribed, False)

    def hands_messages_to_handlers_in_a_thread(self):
        found = []
        with self.client() as publisher, self.client().pubsub() as pubsub:
            pubsub.subscribe(news=lambda message: found.append(message["data"]))
            pubsub.psubscribe(**{"n*": lambda message: found.append(message["pattern"])})
            thread = pubsub.run_in_thread(sleep_time=0.05)
            until("both subscribed", lambda: publisher.pubsub_numpat() == 1)
            publisher.publish("news", "hello")
            until("both handlers", lambda: len(found) == 2)
            thread.stop()
            thread.join(DEADLINE)
        equal(sorted(found), [b"hello", b"n*"])

    def receives_from_shard_channels(self):
        with self.client() as publisher, self.client().pubsub() as pubsub:
            pubsub.ssubscribe("shard-news")
            equal(next_of(pubsub), received("ssubscribe", b"shard-news", 1))
            equal(publisher.pubsub_shardchannels(), [b"shard-news"])
            equal(publisher.pubsub_shardnumsub("shard-news"), [(b"shard-news", 1)])
            equal(publisher.publish("shard-news", "to channels"), 0)
            equal(publisher.spublish("shard-news", BINARY), 1)
            equal(next_of(pubsub), received("smessage", b"shard-news", BINARY))
            pubsub.sunsubscribe("shard-news")
            equal(next_of(pubsub), received("sunsubscribe", b"shard-news", 0))

    def lists_channels_and_counts_subscribers(self):
        with self.client() as client, self.client().pubsub() as pubsub:
            pubsub.subscribe("a1", "a2", "b1")
            pubsub.psubscribe("a*", "b*")
            for _ in range(5):
                next_of(pubsub)
            equal(sorted(client.pubsub_channels()), [b"a1", b"a2", b"b1"])
            equal(sorted(client.pubsub_channels("a*")), [b"a1", b"a2"])
            equal(client.pubsub_numsub("a1", "none"), [(b"a1", 1), (b"none", 0)])
            equal(client.pubsub_numpat(), 2)

    def lists_and_kills_clients(self):
        with self.client(single_connection_client=True) as client:
            own = client.client_id()
            equal(client.client_setname("ann"), True)
            equal(as_text(client.client_getname()), "ann")
            info = client.client_info()
            equal((info["id"], info["name"], info["cmd"]), (own, "ann", "client|info"))
            equal(int(info["resp"]), self.protocol)
            other = self.client(single_connection_client=True, client_name="bob")
            identity = other.client_id()
            listed = {entry["name"]: entry for entry in client.client_list()}
            equal(listed["bob"]["id"], str(identity))
            equal(listed["ann"]["flags"], "N")
            equal(len(client.client_list(client_id=[str(own)])), 1)
            equal(client.client_list(_type="pubsub"), [])
            raises(redis.ResponseError, client.client_kill, "127.0.0.1:1")
            equal(client.client_kill(listed["bob"]["addr"]), True)
            equal(client.client_kill_filter(_id=str(identity)), 0)
            equal(client.client_kill_filter(_type="pubsub"), 0)
            equal(client.client_pause(1), True)
            equal(as_text(client.client_unpause()), "OK")
            equal(as_text(client.client_no_evict("ON")), "OK")
            other.close()

    def reconnects_after_client_kill(self):
        with self.client() as publisher, self.client(client_name="reader").pubsub() as pubsub:
            pubsub.subscribe("news")
            pubsub.psubscribe("n*")
            next_of(pubsub), next_of(pubsub)
            victim = publisher.client_list(_type="pubsub")[0]
            equal(victim["name"], "reader")
            equal(publisher.client_kill_filter(_id=victim["id"]), 1)
            # The next read fails, and redis-py connects again and repeats its subscriptions.
            again = [next_of(pubsub), next_of(pubsub)]
            equal({message["type"] for message in again}, {"subscribe", "psubscribe"})
            equal(publisher.publish("news", "after"), 2)
            equal({next_of(pubsub)["data"], next_of(pubsub)["data"]}, {b"after"})

    def publishes_in_transactions_and_pipelines(self):
        with self.client() as client, self.client().pubsub() as pubsub:
            pubsub.subscribe("news")
            next_of(pubsub)
            for transaction in (True, False):
                with client.pipeline(transaction=transaction) as pipeline:
                    for number in range(20):
                        pipeline.publish("news", str(number))
                    pipeline.publish("nobody", "lost")
                    pipeline.ping()
                    equal(pipeline.execute(), [1] * 20 + [0, True])
                for number in range(20):
                    equal(next_of(pubsub)["data"], str(number).encode())
            with client.pipeline() as pipeline:
                pipeline.watch("key")
                pipeline.multi()
                pipeline.publish("news", "watched")
                equal(pipeline.execute(), [1])
            equal(next_of(pubsub)["data"], b"watched")
            with client.pipeline() as pipeline:
                pipeline.publish("news", "never").execute_command("NOSUCHCOMMAND")
                raises(redis.exceptions.ResponseError, pipeline.execute)
            equal(client.publish("news", "last"), 1)
            equal(next_of(pubsub)["data"], b"last")

    def reads_and_changes_the_configuration(self):
        with self.client() as client:
            equal(client.config_get("maxclients")["maxclients"], "10000")
            equal(client.config_get("requirepass"), {"requirepass": self.server.password})
            both = client.config_get("timeout", "tcp-keepalive")
            equal(sorted(both), ["tcp-keepalive", "timeout"])
            contains(client.config_get("*"), "client-output-buffer-limit")
            equal(client.config_set("timeout", 77), True)
            equal(client.config_get("timeout"), {"timeout": "77"})
            equal(client.config_set("timeout", 0), True)
            raises(redis.ResponseError, client.config_set, "nosuchdirective", "1")
            equal(client.config_resetstat(), True)

    def reads_info_and_state_of_the_server(self):
        with self.client() as client:
            info = client.info()
            equal(info["redis_mode"], "standalone")
            equal(info["role"], "master")
            equal(info["tcp_port"], self.server.port)
            equal(info["connected_clients"] >= 1, True)
            for section, field in (
                ("server", "redis_version"), ("clients", "maxclients"), ("memory", "used_memory"),
                ("stats", "pubsub_channels"), ("stats", "total_commands_processed"),
                ("replication", "connected_slaves"), ("cpu", "used_cpu_sys"),
            ):
                contains(client.info(section), field)
            contains(client.info("commandstats"), "cmdstat_info")
            equal(client.time()[0] > 1_600_000_000, True)
            equal(client.dbsize(), 0)
            equal(client.role()[0], b"master")
            equal(client.lolwut().decode().strip() != "", True)
            equal(client.slowlog_reset(), True)
            equal((client.slowlog_len(), client.slowlog_get()), (0, []))
            equal(client.wait(0, 1), 0)

    def lists_commands(self):
        with self.client() as client:
            commands = client.command()
            publish = commands["publish"]
            equal((publish["name"], publish["arity"]), ("publish", 3))
            equal({str(flag) for flag in publish["flags"]} >= {"pubsub", "fast"}, True)
            equal(client.command_count(), len(commands))
            contains([name.lower() for name in client.command_list()], b"subscribe")
            text = raises(redis.ResponseError, client.command_getkeys, "PUBLISH", "news", "hello")
            equal(text, "The command has no key arguments")

    def monitors_requests_of_others(self):
        with self.client() as client, self.client() as watcher, watcher.monitor() as monitor:
            client.publish("news", 'a "quoted" word')
            command = next(entry for entry in monitor.listen() if "PUBLISH" in entry["command"])
            equal(command["command"], 'PUBLISH news a "quoted" word')
            equal(command["client_address"], "127.0.0.1")

    def resets_and_selects(self):
        with self.client(single_connection_client=True) as client:
            equal(client.select(1), True)
            equal(client.client_info()["db"], 1)
            equal(as_text(client.execute_command("RESET")), "RESET")
        raises(redis.ResponseError, self.client(db=99).ping)

    def runs_scripts(self):
        with self.client() as client:
            script = client.register_script("redis.call('publish', KEYS[1], ARGV[1]) return {KEYS[1], ARGV[1], 7}")
            for _ in range(2):
                equal([as_text(item) for item in script(keys=["news"], args=["hello"])[:2]], ["news", "hello"])
                equal(client.script_flush(), True)
            equal(client.eval("return redis.call('incr', KEYS[1])", 1, "count"), 1)
            equal(client.script_exists(client.script_load("return 1"), "0" * 40), [True, False])
            raises(redis.exceptions.NoScriptError, client.evalsha, "0" * 40, 0)
            raises(redis.ResponseError, client.eval, "return redis.call('nosuch')", 0)
            raises(redis.ResponseError, client.script_kill)
            with client.pipeline() as pipeline:
                pipeline.eval("return ARGV[1]", 0, "a")
                pipeline.set("k", "v")
                equal([as_text(item) for item in pipeline.execute()], ["a", True])
            equal(client.delete("count", "k"), 2)

    def lists_and_changes_users(self):
        with self.client() as client:
            equal(as_text(client.acl_whoami()), "default")
            equal([as_text(user) for user in client.acl_users()], ["default"])
            contains(as_text(client.acl_list()[0]), "user default on")
            contains([as_text(name) for name in client.acl_cat()], "pubsub")
            contains([as_text(name) for name in client.acl_cat("pubsub")], "publish")
            equal(client.acl_setuser(
                "ann", enabled=True, passwords="+anns", reset=True, channels=["news*"],
                commands=["+@pubsub", "+@connection"]), True)
            equal(client.acl_getuser("ann")["enabled"], True)
            with self.client(username="ann", password="anns") as ann:
                equal(ann.publish("news1", "hello"), 0)
                raises(redis.exceptions.NoPermissionError, ann.publish, "secrets", "hello")
                raises(redis.exceptions.NoPermissionError, ann.config_get, "*")
            equal(client.acl_log()[0]["username"], "ann")
            equal(client.acl_deluser("ann"), 1)
            equal(len(client.acl_genpass()), 64)


def next_of(pubsub):
    message = pubsub.get_message(timeout=DEADLINE)
    if message is None:
        raise AssertionError("no message within the deadline")
    return message


def received(kind, channel, data, pattern=None):
    return {"type": kind, "pattern": pattern, "channel": channel, "data": data}


def as_text(found):
    return found.decode() if isinstance(found, bytes) else found


run("redis_sync.py PORT PASSWORD PROTOCOL", Steps)

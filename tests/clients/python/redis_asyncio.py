"""redis-py's asyncio half.

usage: python redis_asyncio.py PORT PASSWORD PROTOCOL
"""

import asyncio

import redis.asyncio as redis
from redis.exceptions import AuthenticationError, ResponseError

from lib import BINARY, DEADLINE, contains, equal, raises_soon, run, until_soon

MESSAGES = 200
SUBSCRIBERS = 5


class Steps:
    """Each method is a step with its own connections."""

    def __init__(self, server, protocol):
        self.server = server
        self.protocol = int(protocol)

    def client(self, **options):
        options = {"password": self.server.password, "protocol": self.protocol} | options
        return redis.Redis(host=self.server.host, port=self.server.port, **options)

    async def connects_with_the_password_only(self):
        async with self.client(decode_responses=True, client_name="ann") as client:
            equal(await client.ping(), True)
            equal(await client.client_getname(), "ann")
            equal(int((await client.client_info())["resp"]), self.protocol)
        async with self.client(password=None) as stranger:
            await raises_soon(AuthenticationError, stranger.ping())
        async with self.client(password="wrong") as guesser:
            await raises_soon(AuthenticationError, guesser.ping())

    async def subscribers_receive_once_and_in_order(self):
        async with self.client() as publisher:
            ready = [asyncio.Event() for _ in range(SUBSCRIBERS)]
            readers = [asyncio.create_task(self.read(event)) for event in ready]
            await asyncio.gather(*(event.wait() for event in ready))
            equal(await publisher.pubsub_numsub("news"), [(b"news", SUBSCRIBERS)])
            equal(await publisher.pubsub_numpat(), 1)
            for number in range(MESSAGES):
                equal(await publisher.publish("news", f"message {number}"), SUBSCRIBERS)
            equal(await publisher.publish("news", BINARY), SUBSCRIBERS)
            expected = [f"message {number}".encode() for number in range(MESSAGES)] + [BINARY]
            equal(await asyncio.gather(*readers), [expected] * SUBSCRIBERS)
            await until_soon("no subscriber left", lambda: no_subscribers(publisher))

    async def read(self, ready):
        found = []
        async with self.client() as client, client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            await pubsub.psubscribe("other*")
            async for message in pubsub.listen():
                if message["type"] == "psubscribe":
                    ready.set()
                if message["type"] == "message":
                    found.append(message["data"])
                if message["data"] == BINARY:
                    await pubsub.unsubscribe()
                    await pubsub.punsubscribe()
        return found

    async def receives_from_shard_channels(self):
        async with self.client() as client, client.pubsub() as pubsub:
            await pubsub.ssubscribe("shard-news")
            equal((await next_of(pubsub))["type"], "ssubscribe")
            equal(await client.pubsub_shardnumsub("shard-news"), [(b"shard-news", 1)])
            equal(await client.execute_command("SPUBLISH", "shard-news", "hello"), 1)
            message = await next_of(pubsub)
            equal((message["type"], message["data"]), ("smessage", b"hello"))
            await pubsub.sunsubscribe()
            equal((await next_of(pubsub))["type"], "sunsubscribe")

    async def reconnects_after_client_kill(self):
        async with self.client() as publisher, self.client() as client, client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            await next_of(pubsub)
            victim = (await publisher.client_list(_type="pubsub"))[0]
            equal(await publisher.client_kill_filter(_id=victim["id"]), 1)
            equal((await next_of(pubsub))["type"], "subscribe")
            equal(await publisher.publish("news", "after"), 1)
            equal((await next_of(pubsub))["data"], b"after")

    async def publishes_in_transactions_and_pipelines(self):
        async with self.client() as client, client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            await next_of(pubsub)
            for transaction in (True, False):
                async with client.pipeline(transaction=transaction) as pipeline:
                    for number in range(20):
                        pipeline.publish("news", str(number))
                    equal(await pipeline.execute(), [1] * 20)
                equal([(await next_of(pubsub))["data"] for _ in range(20)],
                      [str(number).encode() for number in range(20)])

    async def many_commands_at_once_share_a_pool(self):
        pool = redis.BlockingConnectionPool.from_url(
            self.server.url, max_connections=5, timeout=DEADLINE, protocol=self.protocol)
        async with redis.Redis.from_pool(pool) as client:
            replies = await asyncio.gather(*(client.echo(str(number)) for number in range(100)))
        equal(replies, [str(number).encode() for number in range(100)])

    async def reads_info_and_settings_of_the_server(self):
        async with self.client(decode_responses=True) as client:
            equal((await client.info("server"))["redis_mode"], "standalone")
            equal(await client.config_get("maxclients"), {"maxclients": "10000"})
            await raises_soon(ResponseError, client.config_set("nosuchdirective", "1"))
            contains(await client.command(), "psubscribe")
            equal(await client.acl_whoami(), "default")


async def next_of(pubsub):
    message = await pubsub.get_message(timeout=DEADLINE)
    if message is None:
        raise AssertionError("no message within the deadline")
    return message


async def no_subscribers(client):
    return await client.pubsub_numsub("news") == [(b"news", 0)]


run("redis_asyncio.py PORT PASSWORD PROTOCOL", Steps)

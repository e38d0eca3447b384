"""The pub/sub layer of Django's channels_redis: two layers act as two servers.

usage: python django_channels.py PORT PASSWORD
"""

import asyncio

import redis.asyncio as redis
from channels_redis.pubsub import RedisPubSubChannelLayer

from lib import BINARY, DEADLINE, equal, run, until_soon

MESSAGES = 50


class Steps:
    """Each method is a step with its own layers."""

    def __init__(self, server):
        self.server = server

    def layers(self):
        return [RedisPubSubChannelLayer(hosts=[self.server.url]) for _ in range(2)]

    async def sends_from_one_server_to_a_channel_of_the_other(self):
        one, other = self.layers()
        channel = await one.new_channel()
        await other.send(channel, {"type": "text", "text": "hello", "bytes": BINARY})
        equal(await soon(one.receive(channel)), {"type": "text", "text": "hello", "bytes": BINARY})
        await one.flush(), await other.flush()

    async def groups_span_servers(self):
        one, other = self.layers()
        members = [(one, await one.new_channel()), (one, await one.new_channel()),
                   (other, await other.new_channel())]
        for layer, channel in members:
            await layer.group_add("chat", channel)
        for number in range(MESSAGES):
            await (one, other)[number % 2].group_send("chat", {"type": "n", "number": number})
        for layer, channel in members:
            found = [(await soon(layer.receive(channel)))["number"] for _ in range(MESSAGES)]
            # Each server has a connection of its own to publish on; both wait for the reply.
            equal(found, list(range(MESSAGES)))
        layer, channel = members[0]
        await layer.group_discard("chat", channel)
        await other.group_send("chat", {"type": "rest"})
        await layer.send(channel, {"type": "direct"})
        equal(await soon(layer.receive(channel)), {"type": "direct"})
        for layer, channel in members[1:]:
            equal(await soon(layer.receive(channel)), {"type": "rest"})
        await one.flush(), await other.flush()

    async def a_server_that_is_flushed_is_no_longer_a_receiver(self):
        one, other = self.layers()
        async with redis.from_url(self.server.url) as client:
            await one.group_add("chat", await one.new_channel())
            await until_soon("subscribed", lambda: channels(client, 2))
            await one.flush()
            await until_soon("unsubscribed", lambda: channels(client, 0))
            await other.group_send("chat", {"type": "lost"})
        await other.flush()

    async def reconnects_after_client_kill(self):
        one, other = self.layers()
        channel = await one.new_channel()
        await one.group_add("chat", channel)
        async with redis.from_url(self.server.url) as client:
            await until_soon("subscribed", lambda: channels(client, 2))
            killed = [reader["id"] for reader in await client.client_list(_type="pubsub")]
            for victim in killed:
                equal(await client.client_kill_filter(_id=victim), 1)
            await until_soon("subscribed again", lambda: others_read(client, killed))
            await until_soon("to both", lambda: channels(client, 2))
        await other.group_send("chat", {"type": "after"})
        equal(await soon(one.receive(channel)), {"type": "after"})
        await one.flush(), await other.flush()


async def channels(client, count):
    return len(await client.pubsub_channels("asgi*")) == count


async def others_read(client, killed):
    readers = [reader["id"] for reader in await client.client_list(_type="pubsub")]
    return readers and not set(readers) & set(killed)


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, DEADLINE)


run("django_channels.py PORT PASSWORD", Steps)

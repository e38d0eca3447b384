"""python-socketio: two servers with an AsyncRedisManager each, one client on each server.

usage: python socketio_servers.py PORT PASSWORD
"""

import asyncio
import contextlib
import itertools

import redis.asyncio as redis
import socketio
from aiohttp import web

from lib import BINARY, DEADLINE, equal, run, until_soon

MESSAGES = 50


class Steps:
    """Each method is a step with its own servers and clients."""

    def __init__(self, server):
        self.server = server
        self.numbers = itertools.count()

    async def events_reach_the_clients_of_both_servers(self):
        async with self.pair() as ((one, ann), (other, bob)):
            for number in range(MESSAGES):
                await one.io.emit("number", number)
            for client in (ann, bob):
                equal([await client.next() for _ in range(MESSAGES)],
                      [("number", number) for number in range(MESSAGES)])
            await other.io.emit("bytes", {"all": BINARY})
            expected = ("bytes", {"all": BINARY})
            equal((await ann.next(), await bob.next()), (expected, expected))

    async def rooms_span_servers(self):
        async with self.pair() as ((one, ann), (other, bob)):
            # Each server lets in a client of the other.
            await one.io.enter_room(bob.sid, "room")
            await other.io.enter_room(ann.sid, "room")
            await until_soon("ann is in", lambda: in_room(one, ann))
            await until_soon("bob is in", lambda: in_room(other, bob))
            await one.io.emit("to-room", 1, room="room")
            await other.io.emit("to-room", 2, room="room", skip_sid=ann.sid)
            await one.io.emit("to-bob", 3, to=bob.sid)
            await other.io.leave_room(ann.sid, "room")
            await until_soon("ann is out", lambda: not in_room(one, ann))
            await other.io.emit("to-room", 4, room="room")
            await one.io.emit("end", 5)
            equal([await ann.next() for _ in range(2)], [("to-room", 1), ("end", 5)])
            # Two servers publish, and the messages of each stay in order.
            found = [await bob.next() for _ in range(5)]
            equal(sorted(found), [("end", 5), ("to-bob", 3)] + [("to-room", n) for n in (1, 2, 4)])

    async def an_answer_comes_back_from_a_client_of_the_other_server(self):
        async with self.pair() as ((one, ann), (other, bob)):
            answer = asyncio.get_running_loop().create_future()
            await one.io.emit("ask", "bob?", to=bob.sid, callback=answer.set_result)
            equal(await asyncio.wait_for(answer, DEADLINE), "yes, bob?")

    async def a_server_disconnects_a_client_of_the_other(self):
        async with self.pair() as ((one, ann), (other, bob)):
            await one.io.disconnect(bob.sid)
            await until_soon("bob is gone", lambda: not bob.io.connected)
            equal(ann.io.connected, True)

    async def reconnects_after_client_kill(self):
        async with self.pair() as ((one, ann), (other, bob)), self.redis() as client:
            killed = [reader["id"] for reader in await client.client_list(_type="pubsub")]
            equal(len(killed), 2)
            for victim in killed:
                equal(await client.client_kill_filter(_id=victim), 1)
            await until_soon("both are back", lambda: others_read(client, killed))
            # It subscribes twice and reads only the second subscription, so earlier messages are lost.
            await until_soon("bob receives events of ann's server", lambda: emitted(one, bob))
            await one.io.emit("end", 2)
            while await ann.next() != ("end", 2):
                pass
            await until_soon("ann receives events of bob's server", lambda: emitted(other, ann))

    async def a_process_without_clients_emits(self):
        async with self.pair() as ((_, ann), (_, bob)):
            outside = socketio.AsyncRedisManager(
                self.server.url, channel=self.channel, write_only=True)
            await outside.emit("from-outside", {"text": "hello"})
            expected = ("from-outside", {"text": "hello"})
            equal((await ann.next(), await bob.next()), (expected, expected))
            await outside.redis.aclose()

    def redis(self):
        return redis.from_url(self.server.url)

    @contextlib.asynccontextmanager
    async def pair(self):
        self.channel = f"socketio-{next(self.numbers)}"
        async with contextlib.AsyncExitStack() as stack:
            found = []
            for _ in range(2):
                server = WebServer(self.server.url, self.channel)
                await stack.enter_async_context(server)
                found.append((server, await stack.enter_async_context(WebClient(server.url))))
            async with self.redis() as client:
                await until_soon("both subscribed", lambda: both_read(client, self.channel))
            yield found


class WebServer:
    """One web server on a port that the system chooses."""

    def __init__(self, url, channel):
        manager = socketio.AsyncRedisManager(url, channel=channel)
        self.io = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)
        self.manager = manager

    async def __aenter__(self):
        application = web.Application()
        self.io.attach(application)
        self.runner = web.AppRunner(application, shutdown_timeout=1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self.io.shutdown()
        await self.runner.cleanup()
        self.manager.thread.cancel()
        await self.manager.redis.aclose()


class WebClient:
    """The client of one browser, with its received events in order."""

    def __init__(self, url):
        self.url = url
        self.received = asyncio.Queue()
        self.io = socketio.AsyncClient(reconnection=False)
        self.io.on("*", self.keep)

    async def keep(self, event, data):
        if event == "ask":
            return f"yes, {data}"
        await self.received.put((event, data))

    async def next(self):
        return await asyncio.wait_for(self.received.get(), DEADLINE)

    async def __aenter__(self):
        await self.io.connect(self.url, transports=["websocket"])
        self.sid = self.io.get_sid()
        return self

    async def __aexit__(self, *_):
        await self.io.disconnect()


def in_room(server, client):
    return "room" in server.io.rooms(client.sid)


async def emitted(server, client):
    """Emits an event, and returns true once the client has received one."""
    await server.io.emit("after", 1)
    return not client.received.empty()


async def both_read(client, channel):
    return (await client.pubsub_numsub(channel))[0][1] == 2


async def others_read(client, killed):
    """Returns true when both servers are subscribed, by connections other than these."""
    readers = {reader["id"] for reader in await client.client_list(_type="pubsub")}
    return len(readers - set(killed)) == 2


run("socketio_servers.py PORT PASSWORD", Steps)

"""aiosignalr: an asyncio client over three transports and in both encodings.

usage: python aiosignalr_client.py URL TRANSPORT ENCODING
"""

import asyncio
import contextlib

from aiosignalr import HubException, SignalRError
from aiosignalr.client import DefaultRetryPolicy, HubConnection

from lib import contains, equal, raises_soon
from signalr_lib import EXCEPTION, page, run


class Steps:
    def __init__(self, url, transport, encoding):
        self.url = url
        self.transport = transport
        self.encoding = encoding

    async def a_call_returns_its_result(self):
        async with self._connected() as hub:
            equal(await hub.invoke("Echo", "grüße"), "grüße")

    async def an_exception_has_the_name_of_the_method(self):
        async with self._connected() as hub:
            equal(await raises_soon(HubException, hub.invoke("ThrowException", "why")), EXCEPTION)

    async def the_server_calls_a_method(self):
        async with self._connected() as hub:
            received = asyncio.get_running_loop().create_future()
            hub.on("Message", received.set_result)
            await hub.send("InvokeWithString", "hi")
            equal(await received, "hi")

    async def a_stream_gives_all_items(self):
        async with self._connected() as hub:
            equal([item async for item in await stream(hub, "Stream")], ["a", "b", "c"])
            equal([item async for item in await stream(hub, "EmptyStream")], [])

    async def a_stream_is_cancelled(self):
        if self._lacks_headers():
            return
        async with self._connected() as hub:
            cancelled = asyncio.get_running_loop().create_future()
            hub.on("StreamCanceled", lambda: cancelled.set_result(True))
            reading = asyncio.create_task(anext(await stream(hub, "InfiniteStream")))
            await hub.invoke("Echo", "the stream runs")
            reading.cancel()
            await cancelled

    async def a_client_uploads_items(self):
        if self._lacks_headers():
            return
        async with self._connected() as hub:
            async with hub.client_stream("StreamingConcat") as upload:
                for item in ["Hello ", "world", "!"]:
                    await upload.send_item(item)
            equal(upload.result, "Hello world!")

    async def a_client_returns_a_result(self):
        if self._lacks_headers():
            return
        async with self._connected() as hub:
            hub.on("Result", lambda: 10)
            connection_id = await hub.invoke("GetCallerConnectionId")
            equal(await asyncio.to_thread(page, f"{self.url}/clientresult/{connection_id}"), "10")

    async def a_token_opens_a_protected_hub(self):
        token = await asyncio.to_thread(page, f"{self.url}/generateJwtToken")
        contains(await raises_soon(SignalRError, self._start("/authorizedhub")), "401")
        async with self._connected("/authorizedhub", access_token_factory=lambda: token) as hub:
            equal(await hub.invoke("Echo", "hi"), "hi")

    async def the_server_has_the_transport_that_the_client_chose(self):
        async with self._connected() as hub:
            equal(await hub.invoke("GetActiveTransportName"), self.transport)

    async def a_lost_connection_is_opened_again(self):
        async with self._connected() as hub:
            back = asyncio.Event()
            hub.on_reconnected = back.set
            before = await hub.invoke("GetCallerConnectionId")
            await hub._transport.stop()
            hub._closed_event.set()
            await back.wait()
            equal(before == await hub.invoke("GetCallerConnectionId"), False)

    def _lacks_headers(self):
        """Returns whether messages with headers fail: in MessagePack it writes a number for the map."""
        return self.encoding == "messagepack"

    @contextlib.asynccontextmanager
    async def _connected(self, path="/testhub", **options):
        hub = await self._start(path, **options)
        try:
            yield hub
        finally:
            await hub.stop()

    async def _start(self, path, **options):
        hub = HubConnection(protocol=self.encoding).with_retry_policy(DefaultRetryPolicy())
        await hub.start(self.url + path, transports={self.transport}, **options)
        return hub


async def stream(hub, method):
    items = hub.stream(method)
    return await items if asyncio.iscoroutine(items) else items


run("aiosignalr_client.py URL TRANSPORT ENCODING", Steps)

"""pysignalr: an asyncio client over WebSockets, in both encodings.

usage: python pysignalr_client.py URL ENCODING
"""

import asyncio
import contextlib

from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol

from lib import contains, equal
from signalr_lib import EXCEPTION, page, run

PROTOCOLS = {"json": JSONProtocol, "messagepack": MessagepackProtocol}


class Steps:
    def __init__(self, url, encoding):
        self.url = url
        self.protocol = PROTOCOLS[encoding]

    async def a_call_returns_its_result(self):
        async with self._connected() as client:
            equal(await call(client, "Echo", "grüße"), "grüße")

    async def an_exception_has_the_name_of_the_method(self):
        async with self._connected() as client:
            failed = asyncio.get_running_loop().create_future()
            client.on_error(setter(failed))
            await client.send("ThrowException", ["why"], setter(asyncio.get_running_loop().create_future()))
            equal((await failed).error, EXCEPTION)

    async def the_server_calls_a_method(self):
        async with self._connected() as client:
            received = asyncio.get_running_loop().create_future()
            client.on("Message", setter(received))
            await client.send("InvokeWithString", ["hi"])
            equal(list(await received), ["hi"])

    async def a_stream_gives_all_items(self):
        async with self._connected() as client:
            received = []
            ended = asyncio.get_running_loop().create_future()

            async def take(item):
                received.append(item)

            await client.stream("Stream", [], take, setter(ended), setter(ended))
            await ended
            equal(received, ["a", "b", "c"])

    async def an_exception_instead_of_a_stream_reaches_the_client(self):
        async with self._connected() as client:
            failed = asyncio.get_running_loop().create_future()
            client.on_error(setter(asyncio.get_running_loop().create_future()))
            await client.stream("StreamThrowException", ["why"], None, None, setter(failed))
            contains((await failed).error, "why")

    async def a_client_uploads_items(self):
        # This client asks for no result of an upload, so another stream shows that it arrived.
        async with self._connected() as client:
            async with client.client_stream("StreamingConcat") as upload:
                for item in ["a", "b"]:
                    await upload.send(item)
            equal(await call(client, "Echo", "after"), "after")

    async def a_client_returns_a_result(self):
        async with self._connected() as client:
            async def ten(_):
                return 10

            client.on("Result", ten)
            connection_id = await call(client, "GetCallerConnectionId")
            equal(await asyncio.to_thread(page, f"{self.url}/clientresult/{connection_id}"), "10")

    async def a_client_has_no_handler_for_a_result(self):
        async with self._connected() as client:
            connection_id = await call(client, "GetCallerConnectionId")
            answer = await asyncio.to_thread(page, f"{self.url}/clientresult/{connection_id}")
            equal(answer, "Client didn't provide a result.")

    async def a_token_opens_a_protected_hub(self):
        token = await asyncio.to_thread(page, f"{self.url}/generateJwtToken")
        # This client calls its factory of tokens after the negotiation only.
        headers = {"Authorization": f"Bearer {token}"}
        async with self._connected("/authorizedhub", headers=headers) as client:
            equal(await call(client, "Echo", "hi"), "hi")

    async def a_lost_connection_is_opened_again(self):
        async with self._connected() as client:
            reopened = asyncio.Event()

            async def note():
                reopened.set()

            client.on_open(note)
            await client._transport._ws.close()
            await reopened.wait()
            equal(await call(client, "Echo", "again"), "again")

    @contextlib.asynccontextmanager
    async def _connected(self, path="/testhub", **options):
        client = SignalRClient(self.url + path, protocol=self.protocol(), **options)
        opened = asyncio.Event()

        async def note():
            opened.set()

        client.on_open(note)
        running = asyncio.create_task(client.run())
        try:
            waiting = asyncio.create_task(opened.wait())
            await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield client
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def call(client, method, *arguments):
    answered = asyncio.get_running_loop().create_future()
    await client.send(method, list(arguments), setter(answered))
    return (await answered).result


def setter(future):
    """Makes a callback that sets the future."""

    async def callback(value):
        if not future.done():
            future.set_result(value)

    return callback


run("pysignalr_client.py URL ENCODING", Steps)

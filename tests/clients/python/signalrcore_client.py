"""signalrcore: a client with threads, over three transports and in both encodings.

usage: python signalrcore_client.py URL TRANSPORT ENCODING

Limits of this client: long polling takes one message from each poll, cannot separate MessagePack messages, and sends
no token with polls. An upload in MessagePack lacks the field for the id of the call.
"""

import contextlib
import logging
import queue

from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.subject import Subject
from signalrcore.types import HttpTransportType, HubProtocolEncoding

from lib import DEADLINE, equal
from signalr_lib import EXCEPTION, page, run

ENCODINGS = {"json": HubProtocolEncoding.text, "messagepack": HubProtocolEncoding.binary}


class Steps:
    def __init__(self, url, transport, encoding):
        self.url = url
        self.transport = HttpTransportType(transport)
        self.encoding = ENCODINGS[encoding]

    def a_call_returns_its_result(self):
        with self._connected() as hub:
            equal(call(hub, "Echo", ["grüße"]), "grüße")

    def an_exception_has_the_name_of_the_method(self):
        with self._connected() as hub:
            failed = queue.Queue()
            hub.on_error(failed.put)
            hub.invoke("ThrowException", ["why"])
            equal(failed.get(timeout=DEADLINE).error, EXCEPTION)

    def the_server_calls_a_method(self):
        with self._connected() as hub:
            received = queue.Queue()
            hub.on("Message", received.put)
            hub.invoke("InvokeWithString", ["hi"])
            equal(list(received.get(timeout=DEADLINE)), ["hi"])

    def a_stream_gives_all_items(self):
        if self.transport == HttpTransportType.long_polling:
            return
        received, ended = [], queue.Queue()

        # This client requests the items before it accepts the callbacks for them, and drops items without
        # callbacks. It calls `on_open` on its receiving thread, so no item can arrive between the two.
        def start(hub):
            callbacks = {"next": received.append, "complete": ended.put, "error": ended.put}
            hub.stream("Stream", []).subscribe(callbacks)

        with self._connected(when_open=start):
            ended.get(timeout=DEADLINE)
        equal(received, ["a", "b", "c"])

    def a_client_uploads_items(self):
        if self.encoding == HubProtocolEncoding.binary:
            return
        # This client asks for no result of an upload, so a call after it shows that it arrived.
        with self._connected() as hub:
            subject = Subject()
            hub.invoke("StreamingConcat", subject)
            for item in ["a", "b"]:
                subject.next(item)
            subject.complete()
            equal(call(hub, "Echo", ["after"]), "after")

    def a_token_opens_a_protected_hub(self):
        if self.transport == HttpTransportType.long_polling:
            return
        token = page(f"{self.url}/generateJwtToken")
        with self._connected("/authorizedhub", access_token_factory=lambda: token) as hub:
            equal(call(hub, "Echo", ["hi"]), "hi")

    def a_client_can_start_again(self):
        ids = []
        for _ in range(2):
            with self._connected() as hub:
                ids.append(call(hub, "GetCallerConnectionId", []))
        equal(len(set(ids)), 2)

    def a_closed_connection_is_reported(self):
        hub = self._build()
        opened, closed = queue.Queue(), queue.Queue()
        hub.on_open(lambda: opened.put(True))
        hub.on_close(lambda: closed.put(True))
        hub.start()
        opened.get(timeout=DEADLINE)
        hub.invoke("Abort", [])
        closed.get(timeout=DEADLINE)
        hub.stop()

    @contextlib.contextmanager
    def _connected(self, path="/testhub", when_open=None, **options):
        hub = self._build(path, **options)
        opened = queue.Queue()

        def on_open():
            if when_open:
                when_open(hub)
            opened.put(True)

        hub.on_open(on_open)
        hub.start()
        try:
            opened.get(timeout=DEADLINE)
            yield hub
        finally:
            hub.stop()

    def _build(self, path="/testhub", **options):
        builder = HubConnectionBuilder().with_url(
            self.url + path, options={"transport": self.transport, **options}
        )
        return builder.configure_logging(logging.CRITICAL).with_hub_protocol(self.encoding).build()


def call(hub, method, arguments):
    answered = queue.Queue()
    hub.invoke(method, arguments, answered.put)
    answer = answered.get(timeout=DEADLINE)
    answer = answer[0] if isinstance(answer, list) else answer
    return answer.result


run("signalrcore_client.py URL TRANSPORT ENCODING", Steps)

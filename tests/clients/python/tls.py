"""Publishes and subscribes over TLS: tls.py PORT CA CERTIFICATE KEY"""

import sys

import redis

port, ca, certificate, key = sys.argv[1:]
client = redis.Redis(
    host="localhost",
    port=int(port),
    ssl=True,
    ssl_ca_certs=ca,
    ssl_certfile=certificate,
    ssl_keyfile=key,
)
subscription = client.pubsub()
subscription.subscribe("news")
assert subscription.get_message(timeout=10)["type"] == "subscribe"
payload = b"x" * 100_000
assert client.publish("news", payload) == 1
assert subscription.get_message(timeout=10)["data"] == payload
with client.pipeline(transaction=False) as pipeline:
    for _ in range(1_000):
        pipeline.ping()
    assert pipeline.execute() == [True] * 1_000

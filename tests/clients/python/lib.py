"""Shared by all scripts: steps, each with its own outcome, and assertions.

The arguments of a script are PORT PASSWORD and its own ones. It prints one line of JSON for each step,
then "ok". After a failed step it goes on, prints all reasons on standard error, and ends with exit
code 1.
"""

import asyncio
import inspect
import json
import sys
import time
import traceback

DEADLINE = 30

# A payload that text codecs and line-based protocols would change.
BINARY = bytes(range(256)) + b"\r\n$5\r\nhello\r\n\x00\xff"


class Server:
    """The address and the password of the server."""

    def __init__(self, port, password):
        self.host = "127.0.0.1"
        self.port = int(port)
        self.password = password
        self.url = f"redis://:{password}@{self.host}:{port}/0"


def run(usage, cls):
    """Runs the steps of `cls(server, *arguments)`: its methods of more than one word, in order."""
    arguments = sys.argv[1:]
    if len(arguments) != len(usage.split()) - 1:
        sys.exit(f"usage: python {usage}")
    instance = cls(Server(*arguments[:2]), *arguments[2:])
    steps = [getattr(instance, name) for name in vars(cls) if is_step(name)]
    failed = [step for step in steps if not outcome(step)]
    if failed:
        sys.exit(f"{usage}: failed: {', '.join(name_of(step) for step in failed)}")
    print("ok")


def is_step(name):
    return "_" in name and not name.startswith("_")


def outcome(step):
    """Runs one step, and returns whether it succeeded."""
    try:
        result = step()
        if inspect.isawaitable(result):
            asyncio.run(asyncio.wait_for(result, DEADLINE))
    except Exception:
        report({"step": name_of(step), "failed": True})
        print(f"{name_of(step)}: {traceback.format_exc()}", file=sys.stderr, flush=True)
        return False
    report({"step": name_of(step)})
    return True


def name_of(step):
    return step.__name__.replace("_", " ")


def report(result):
    print(json.dumps(result), flush=True)


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def contains(whole, part):
    if part not in whole:
        raise AssertionError(f"expected {part!r} in {whole!r}")


def raises(error, call, *arguments, **options):
    """Calls, expects this error, and returns its text."""
    try:
        result = call(*arguments, **options)
    except error as found:
        return str(found)
    raise AssertionError(f"expected {error.__name__}, found {result!r}")


async def raises_soon(error, awaitable):
    """Awaits, expects this error, and returns its text."""
    try:
        result = await awaitable
    except error as found:
        return str(found)
    raise AssertionError(f"expected {error.__name__}, found {result!r}")


def until(subject, condition):
    """Waits for the condition, and returns its first true value."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{subject}: not within {DEADLINE} s")


async def until_soon(subject, condition):
    """Waits for the condition, which may be awaitable, and returns its first true value."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{subject}: not within {DEADLINE} s")

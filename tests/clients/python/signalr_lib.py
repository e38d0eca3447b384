"""Shared by the scripts for SignalR clients: the server, and steps with their outcome.

The arguments of a script are URL and its own ones. It prints one line of JSON for each step, then "ok".
"""

import sys
import urllib.request

from lib import is_step, name_of, outcome


def run(usage, cls):
    """Runs the steps of `cls(url, *arguments)`: its methods of more than one word, in order."""
    arguments = sys.argv[1:]
    if len(arguments) != len(usage.split()) - 1:
        sys.exit(f"usage: python {usage}")
    instance = cls(*arguments)
    steps = [getattr(instance, name) for name in vars(cls) if is_step(name)]
    failed = [step for step in steps if not outcome(step)]
    if failed:
        sys.exit(f"{usage}: failed: {', '.join(name_of(step) for step in failed)}")
    print("ok")


def page(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


EXCEPTION = (
    "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: why"
)

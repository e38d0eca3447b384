"""pysignalr's own tests, unmodified, from its source package.

usage: python pysignalr_suite.py URL

The tests start their server in a container. Here, the container is the server at URL.
"""

import sys
import types
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / ".venv" / "sources"


class Docker:
    """Stands in for a client of Docker, its images and containers, and the only container."""

    def __init__(self, host):
        self.images = self.containers = self
        self.attrs = {"NetworkSettings": {"IPAddress": host}}

    def build(self, **_):
        pass

    def run(self, **_):
        return self

    def reload(self):
        pass

    def stop(self):
        pass


class Plugin:
    """Gives the tests their container, and counts outcomes."""

    def __init__(self, docker):
        self.docker = docker
        self.passed = self.skipped = 0

    def pytest_collection_modifyitems(self, items):
        for module in {item.module for item in items}:
            if hasattr(module, "get_docker_client"):
                module.get_docker_client = lambda: self.docker

    def pytest_runtest_logreport(self, report):
        self.skipped += report.skipped
        self.passed += report.when == "call" and report.passed


def main(url):
    docker = Docker(url.removeprefix("http://"))
    # The tests import the class for its name only.
    client = types.ModuleType("docker.client")
    client.DockerClient = Docker
    sys.modules.update({"docker": types.ModuleType("docker"), "docker.client": client})
    [suite] = SOURCES.glob("pysignalr-*/tests")
    plugin = Plugin(docker)
    failed = pytest.main(["-q", "-p", "no:cacheprovider", "-o", "log_cli=false", str(suite)], [plugin])
    if failed or plugin.skipped or not plugin.passed:
        sys.exit(f"{plugin.passed} passed, {plugin.skipped} skipped, exit code of the tests {int(failed)}")
    print(f"{plugin.passed} passed")
    print("ok")


main(*sys.argv[1:])

"""A real server, and a stub, for all tests that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from local_server import LocalServer, server_binary
from stub_service import StubService, serving

import lossd


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """A server for the whole session."""
    with LocalServer(server_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: LocalServer) -> Iterator[lossd.Client]:
    """A client of that server."""
    with lossd.Client(server.address) as client:
        yield client


@pytest.fixture
def service() -> StubService:
    """A stub of the service; modules have others."""
    return StubService()


@pytest.fixture
def address(service: StubService) -> Iterator[str]:
    """Where the stub is served."""
    with serving(service) as address:
        yield address

"""Memory that the client shares with a server of its host: who gets which, and what without it."""

from __future__ import annotations

import fcntl
import logging
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from local_server import LocalServer, server_binary
from segment_stub import SegmentStub
from stub_service import StubService, fail, serving, serving_elsewhere
from test_forks import in_a_child
from unreadable import UnreadableError, unreadable

import lossd
from lossd import segment_socket, segments
from lossd.v1 import service_pb2

PLAN = [{"function": "WeightedMSELoss"}]
MIB = 2**20
SOON_SECONDS = 10.0


def batch(mebibytes: float = 4, value: float = 1.0) -> np.ndarray[Any, Any]:
    return np.full((1, 1, 1, int(4 * mebibytes), MIB // 16), value, np.float32)


def soon(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + SOON_SECONDS
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    return what()


def wait_for(what: threading.Event | threading.Barrier) -> Callable[[grpc.ServicerContext], None]:
    def wait(_: grpc.ServicerContext) -> None:
        what.wait(SOON_SECONDS)

    return wait


def mappings() -> int:
    return pathlib.Path("/proc/self/maps").read_text().count("memfd:lossd")


def descriptors() -> int:
    """Of segments and Unix sockets."""
    links = []
    for descriptor in pathlib.Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    return sum("memfd:lossd" in link for link in links)


@pytest.fixture
def memory(service: StubService) -> SegmentStub:
    assert service.memory is not None
    return service.memory


@pytest.fixture
def client(address: str) -> Iterator[lossd.Client]:
    with lossd.Client(address, transport="shm") as client:
        yield client


# Segments.


def test_a_segment_serves_one_call_after_the_other(
    client: lossd.Client, memory: SegmentStub
) -> None:
    for value in range(5):
        result = client.compute(PLAN, batch(value=value))
        np.testing.assert_array_equal(result.gradients["output"], batch(value=value))
    assert memory.offered == [4 * MIB]
    assert memory.connections == 1


def test_calls_at_the_same_time_have_one_each(
    client: lossd.Client, service: StubService, memory: SegmentStub
) -> None:
    together = threading.Barrier(4)
    for _ in range(2):
        service.failures = [wait_for(together)] * 4
        calls = [client.submit(PLAN, batch(value=value)) for value in range(4)]
        for value, call in enumerate(calls):
            gradient = call.result().gradients["output"]
            np.testing.assert_array_equal(gradient, batch(value=value))
        assert len(memory.offered) == len(memory.segments) == 4


def test_a_result_owns_its_memory(client: lossd.Client) -> None:
    first = client.compute(PLAN, batch(value=1)).gradients["output"]
    client.compute(PLAN, batch(value=2))
    np.testing.assert_array_equal(first, batch(value=1))


def test_sizes_that_vary_leave_no_segments_behind(
    client: lossd.Client, memory: SegmentStub
) -> None:
    for size in range(1, 20, 3):
        client.compute(PLAN, batch(size))
        assert len(memory.segments) == 1
    assert memory.offered == [size * MIB for size in (2, 4, 8, 10, 14, 16, 20)]
    client.compute(PLAN, batch(15))
    assert len(memory.offered) == 7
    # For a much smaller one there is another; each goes on with its own.
    for _ in range(2):
        client.compute(PLAN, batch(0.5))
        client.compute(PLAN, batch(15))
    assert memory.offered[7:] == [2 * MIB]
    assert mappings() == len(memory.segments) * 2 == 4  # The stub is in this process.


def test_what_is_not_used_goes(
    monkeypatch: pytest.MonkeyPatch, client: lossd.Client, memory: SegmentStub
) -> None:
    monkeypatch.setattr(segments, "_KEPT_SECONDS", 0.5)
    client.compute(PLAN, batch())
    assert len(memory.segments) == 1
    assert soon(lambda: not memory.segments and mappings() == 0)
    client.compute(PLAN, batch())
    assert len(memory.segments) == 1


@pytest.mark.parametrize(("limit", "value"), [("_KEPT", 3), ("_KEPT_BYTES", 12 * MIB)])
def test_what_is_kept_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
    client: lossd.Client,
    service: StubService,
    memory: SegmentStub,
    limit: str,
    value: int,
) -> None:
    monkeypatch.setattr(segments, limit, value)
    together = threading.Barrier(5)
    service.failures = [wait_for(together)] * 5
    for call in [client.submit(PLAN, batch()) for _ in range(5)]:
        call.result()
    assert len(memory.offered) == 5
    assert soon(lambda: len(memory.segments) == 3)


def test_a_server_that_stands_still_is_left_at_the_deadline() -> None:
    with (
        serving_elsewhere(0.0) as (address, server),
        lossd.Client(address, transport="shm") as client,
    ):
        client.compute(PLAN, batch())
        for size in (4, 5):  # With the segment that there is, and with another.
            server.send_signal(signal.SIGSTOP)
            start = time.monotonic()
            with pytest.raises(lossd.DeadlineExceededError):
                client.compute(PLAN, batch(size), timeout=1)
            assert time.monotonic() - start < 3
            server.send_signal(signal.SIGCONT)
            client.compute(PLAN, batch())


@pytest.mark.parametrize("end", ["cancelled", "timed out", "refused by somebody"])
def test_what_the_server_may_still_use_is_used_no_more(
    client: lossd.Client, service: StubService, memory: SegmentStub, end: str
) -> None:
    client.compute(PLAN, batch())
    (first,) = memory.segments
    over = threading.Event()
    if end == "refused by somebody":
        service.failures = [fail(grpc.StatusCode.INVALID_ARGUMENT, "too large")]
        with pytest.raises(lossd.InvalidArgumentError):
            client.compute(PLAN, batch())
    else:
        service.failures = [wait_for(over)]
        call = client.submit(PLAN, batch(), timeout=1 if end == "timed out" else None)
        assert soon(lambda: len(service.requests) == 2)
        if end == "cancelled":
            call.cancel()
        with pytest.raises(lossd.Error):
            call.result()
    assert soon(lambda: first not in memory.segments)
    client.compute(PLAN, batch())
    assert len(memory.offered) == 2
    over.set()
    assert len(memory.segments) == 1


def test_what_the_server_has_refused_is_used_again(
    client: lossd.Client, service: StubService, memory: SegmentStub
) -> None:
    ours = error_details_pb2.ErrorInfo(reason="QUEUE_FULL", domain="lossd")
    soon_again = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=1))
    full = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", ours, soon_again)
    service.failures = [full, full]
    result = client.compute(PLAN, batch(value=7))
    np.testing.assert_array_equal(result.gradients["output"], batch(value=7))
    assert (len(service.requests), len(memory.offered)) == (3, 1)


def test_segments_are_sealed(client: lossd.Client, memory: SegmentStub) -> None:
    client.compute(PLAN, batch(0.5))
    assert memory.offered == [2 * MIB]  # The stub has looked at the seals.


def test_nothing_is_left(address: str, memory: SegmentStub) -> None:
    before = descriptors()
    client = lossd.Client(address, transport="shm")
    with pytest.raises(UnreadableError):
        client.compute(PLAN, batch(), unreadable(1, 1, 2, 2))
    for call in [client.submit(PLAN, batch()) for _ in range(3)]:
        call.result()
    assert mappings() > len(memory.segments)
    client.close()
    assert soon(lambda: memory.connections == 0)
    assert not memory.segments
    assert mappings() == 0
    assert descriptors() == before


def test_a_call_under_way_ends_with_its_client(
    address: str, service: StubService, memory: SegmentStub
) -> None:
    over = threading.Event()
    service.failures = [wait_for(over)]
    client = lossd.Client(address, transport="shm")
    call = client.submit(PLAN, batch())
    assert soon(lambda: bool(service.requests))
    client.close()
    with pytest.raises(lossd.CancelledError):
        call.result()
    over.set()
    assert soon(lambda: mappings() == 0 and memory.connections == 0)


# Forks.


def test_a_forked_process_has_none_of_its_parents_memory() -> None:
    with (
        serving_elsewhere(2.5) as (address, _),
        lossd.Client(address, transport="shm") as client,
    ):
        client.compute(PLAN, batch())
        calls = [client.submit(PLAN, batch(value=value)) for value in range(2)]
        assert soon(lambda: mappings() == 2)

        def child() -> None:
            assert mappings() == descriptors() == 0

        assert in_a_child(child) == 0
        assert not any(call.done() for call in calls)
        for value, call in enumerate(calls):
            np.testing.assert_array_equal(call.result().gradients["output"], batch(value=value))
        assert mappings() == 2


# When there is none.


@pytest.fixture
def without(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, service: StubService
) -> str:
    """Takes it away in some way; gives what the client says of it."""
    memory = service.memory
    assert memory is not None
    way: str = request.param
    if way == "none":
        service.memory = None
        return "the server takes none"
    if way == "another instance":
        memory.greeting = bytes(16)
        return "it is another server's"
    if way == "another host":
        monkeypatch.setattr(StubService, "GetServerInfo", elsewhere)
        return "Connection refused"
    if way == "no answer":
        memory.answers = False
        monkeypatch.setattr(segment_socket, "_PATIENCE_SECONDS", 0.2)
        return "timed out"
    if way == "no room":
        memory.refusal = "too much is shared"
        return "too much is shared"
    if way == "no memfd":
        monkeypatch.delattr(os, "memfd_create")
        return "no memfd_create"
    if way == "no rights":
        monkeypatch.setattr(os, "memfd_create", forbidden)
        return "Operation not permitted"
    if way == "no memory":
        monkeypatch.setattr(os, "posix_fallocate", forbidden)
        return "Operation not permitted"
    if way == "no seals":
        monkeypatch.setattr(fcntl, "fcntl", forbidden)
        return "Operation not permitted"
    if way == "always unknown":
        monkeypatch.setattr(memory, "segments", Forgetful())
        return "another server"
    assert way == "no GetServerInfo"
    service.GetServerInfo = None  # type: ignore[assignment]
    return "does not say what it is"


class Forgetful(dict[bytes, Any]):
    """Keeps nothing."""

    def __setitem__(self, *_: Any) -> None:
        pass


def elsewhere(*_: Any) -> service_pb2.GetServerInfoResponse:
    return service_pb2.GetServerInfoResponse(
        instance=bytes(16), shared_memory_socket="@lossd-of-another-host"
    )


def forbidden(*_: Any) -> int:
    raise PermissionError(1, "Operation not permitted")


WITHOUT = [
    "none",
    "another instance",
    "another host",
    "no answer",
    "no room",
    "no memfd",
    "no rights",
    "no memory",
    "no seals",
    "always unknown",
    "no GetServerInfo",
]


@pytest.mark.parametrize("without", WITHOUT, indirect=True)
def test_batches_are_streamed_instead(
    without: str, service: StubService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lossd")
    with serving(service) as address, lossd.Client(address) as client:
        for index in range(3):
            result = client.compute(PLAN, batch(value=index))
            np.testing.assert_array_equal(result.gradients["output"], batch(value=index))
    assert service.streamed == 3
    (record,) = (record for record in caplog.records if record.name == "lossd")
    assert record.levelno == logging.DEBUG
    assert without in record.message


@pytest.mark.parametrize("without", WITHOUT, indirect=True)
def test_who_insists_on_it_gets_an_error(without: str, service: StubService) -> None:
    with serving(service) as address, lossd.Client(address, transport="shm") as client:
        for ask in (client.compute, lambda *of: client.submit(*of).result()):
            with pytest.raises(lossd.Error, match=without) as caught:
                ask(PLAN, batch())
            assert caught.value.field == "transport"
            assert caught.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert service.streamed == 0
    assert mappings() == 0


def test_several_servers_share_none(address: str, service: StubService) -> None:
    both = [address, "127.0.0.1:1"]
    with lossd.Client(both) as client:
        client.compute(PLAN, batch())
    with (
        lossd.Client(both, transport="shm") as client,
        pytest.raises(lossd.Error, match="for one server"),
    ):
        client.compute(PLAN, batch())
    assert (service.shared, service.streamed) == (0, 1)


def test_a_server_that_is_not_there_yet_is_waited_for(service: StubService) -> None:
    with serving(service) as address:
        pass
    with lossd.Client(address) as client:
        call = client.submit(PLAN, batch())
        time.sleep(0.5)
        with serving(service, address):
            assert call.result().total == 1.5
    assert (service.shared, service.streamed) == (1, 0)


# What becomes of it.


def test_what_the_server_forgot_is_shared_anew(
    client: lossd.Client, service: StubService, memory: SegmentStub
) -> None:
    client.compute(PLAN, batch())
    memory.segments.clear()
    calls = [client.submit(PLAN, batch(value=value)) for value in range(3)]
    for value, call in enumerate(calls):
        np.testing.assert_array_equal(call.result().gradients["output"], batch(value=value))
    assert soon(lambda: memory.connections == 1)
    assert service.streamed == 0


@pytest.mark.parametrize("transport", ["auto", "shm"])
def test_a_restart_in_between_is_survived(transport: Any) -> None:
    arguments: dict[str, Any] = {"outputs": batch(), "labels": batch(value=3)}
    with LocalServer(server_binary()) as server:
        address = server.address
        client = lossd.Client(address, transport=transport)
        expected = client.compute(PLAN, **arguments)
    with client, LocalServer(server_binary(), listen=address):
        assert client.compute(PLAN, **arguments).logs == expected.logs
        assert client.compute(PLAN, **arguments).logs == expected.logs
    assert mappings() == 0


def test_a_server_that_is_killed_in_mid_call() -> None:
    term = {
        "function": "SoftClDiceLoss",
        "kwargs": {"sigmoid": True, "mode": "binary", "foreground_channel": 0},
    }
    logits = np.zeros((1, 1, 96, 96, 96), np.float32)
    with LocalServer(server_binary()) as server:
        address = server.address
        client = lossd.Client(address, transport="shm")
        client.compute(PLAN, logits, logits + 1)
        call = client.submit([term] * 20, logits, logits + 1)
        time.sleep(0.5)
        assert not call.done()
        os.kill(server.pid, signal.SIGKILL)
    with client, LocalServer(server_binary(), listen=address):
        assert call.result().total > 0
    assert mappings() == 0


def test_a_server_that_takes_none() -> None:
    with (
        LocalServer(server_binary(), "--shared_memory=off") as server,
        lossd.Client(server.address, transport="shm") as client,
        pytest.raises(lossd.Error, match="the server takes none"),
    ):
        client.compute(PLAN, batch(), batch())


def test_a_server_that_takes_little(caplog: pytest.LogCaptureFixture) -> None:
    """Large batches are streamed, and others use what there is."""
    caplog.set_level(logging.DEBUG, "lossd")
    size = 16 * MIB
    with (
        LocalServer(server_binary(), f"--shared_memory_max_bytes={size}") as server,
        lossd.Client(server.address) as client,
    ):
        for mebibytes in (5, 17, 6, 20):
            client.compute(PLAN, batch(mebibytes), batch(mebibytes))
    (record,) = caplog.records
    assert "shared_memory_max_bytes" in record.message


def test_a_path_may_name_the_socket(tmp_path: pathlib.Path) -> None:
    with (
        LocalServer(server_binary(), f"--shared_memory={tmp_path / 'socket'}") as server,
        lossd.Client(server.address, transport="shm") as client,
    ):
        assert client.compute(PLAN, batch(), batch(value=2)).total == 1


# What is believed of an answer.


def region(answer: service_pb2.ComputeResponse, index: int = 0) -> Any:
    return answer.gradients[index].tensor.shared


def grow(answer: service_pb2.ComputeResponse) -> None:
    term = answer.terms.add(gradients=answer.gradients)
    shift = sum(of.tensor.shared.bytes for of in term.gradients)
    for of in answer.gradients:
        of.tensor.shared.offset += shift


LIES: dict[str, tuple[Callable[[service_pb2.ComputeResponse], Any], str]] = {
    "another segment": (lambda a: setattr(region(a), "segment", bytes(16)), "of another segment"),
    "no region": (lambda a: a.gradients[0].tensor.ClearField("shared"), "got 0 bytes from 0"),
    "another offset": (
        lambda a: setattr(region(a, 1), "offset", 0),
        rf"gradients\[b\]\.shared: got \d+ bytes from 0 on, expected \d+ from {4 * MIB} on",
    ),
    "an offset beyond all": (
        lambda a: setattr(region(a, 1), "offset", 2**64 - 1),
        f"from {2**64 - 1} on",
    ),
    "fewer bytes": (lambda a: setattr(region(a), "bytes", 4), f"got 4 bytes .* {4 * MIB}"),
    "more bytes": (lambda a: setattr(region(a), "bytes", 5 * MIB), f"got {5 * MIB} bytes"),
    "more than there is room for": (grow, "expected"),
    "data beside it": (
        lambda a: setattr(a.gradients[0].tensor, "data", b"x"),
        r"gradients\[a\]: got",
    ),
    "another shape": (lambda a: a.gradients[0].tensor.shape.append(2**40), "1099511627776"),
    "an unknown gradient": (lambda a: setattr(a.gradients[0], "name", "c"), "expected one for"),
    "a gradient twice": (lambda a: setattr(a.gradients[1], "name", "a"), r"gradients\[a\]"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_answer_is_an_error(client: lossd.Client, service: StubService, lie: str) -> None:
    service.spoil, words = LIES[lie]
    with pytest.raises(lossd.InternalError, match=words):
        client.compute(PLAN, {"a": batch(), "b": batch(1)})
    service.spoil = lambda _: None
    client.compute(PLAN, {"a": batch(), "b": batch(1)})

"""Servers that are away, late, silent or several, and the time that a call takes."""

from __future__ import annotations

import copy
import math
import pickle
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from local_server import LocalServer, server_binary
from stub_service import StubService, fail, serving, serving_elsewhere

import lossd
from lossd import calls, transport
from lossd.channel import ForkedError, LazyConnection
from lossd.target import target_of
from lossd.v1 import service_pb2
from lossd.wire import Request

PLAN = [{"function": "WeightedMSELoss"}]
BATCH = np.arange(24, dtype=np.float32).reshape(1, 2, 2, 2, 3)
NOWHERE = "127.0.0.1:1"


class ObservingService(StubService):
    """Remembers of each call who made it and how much time it had; answers to another, if told."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: list[str] = []
        self.seconds: list[float] = []
        self.answers_to: str | None = None

    def Compute(  # noqa: N802
        self, request: service_pb2.ComputeRequest, context: grpc.ServicerContext
    ) -> service_pb2.ComputeResponse:
        self.peers.append(context.peer())
        self.seconds.append(context.time_remaining())
        answer = super().Compute(request, context)
        answer.request_id = self.answers_to or answer.request_id
        return answer


@pytest.fixture
def service() -> ObservingService:
    return ObservingService()


@pytest.fixture(params=["unary", "stream", "shm"])
def client(address: str, request: pytest.FixtureRequest) -> Iterator[lossd.Client]:
    with lossd.Client(address, transport=request.param) as client:
        yield client


# Retries.


@pytest.mark.parametrize("way", ["unary", "stream", "shm"])
def test_a_restart_is_survived(service: ObservingService, way: transport.Transport) -> None:
    with serving(service) as address:
        client = lossd.Client(address, transport=way)
        client.compute(PLAN, BATCH)
    with client:
        under_way = [client.submit(PLAN, BATCH) for _ in range(3)]
        time.sleep(1.5)
        assert not any(call.done() for call in under_way)
        with serving(service, address):
            start = time.monotonic()
            for call in under_way:
                assert call.result().total == 1.5
            assert client.compute(PLAN, BATCH).total == 1.5
            assert time.monotonic() - start < 5


def test_a_server_that_dies_during_a_call() -> None:
    logits = np.zeros((1, 1, 64, 64, 64), np.float32)
    skeletons = [
        {
            "function": "SoftClDiceLoss",
            "kwargs": {"sigmoid": True, "mode": "binary", "foreground_channel": 0},
        }
    ] * 50
    with LocalServer(server_binary(), "--drain_timeout=0") as server:
        address = server.address
        client = lossd.Client(address, transport="stream")
        call = client.submit(skeletons, logits, logits + 1)
        time.sleep(0.5)
        assert not call.done()
    with client, LocalServer(server_binary(), listen=address):
        assert call.result().total > 0


def test_the_time_for_retries_ends() -> None:
    for seconds in (0, 0.7):
        with lossd.Client(NOWHERE, retry_seconds=seconds) as client:
            for ask in (client.info, lambda: client.submit(PLAN, BATCH).result()):
                start = time.monotonic()
                with pytest.raises(lossd.UnavailableError, match=r"127\.0\.0\.1:1"):
                    ask()
                assert seconds - 0.1 <= time.monotonic() - start < seconds + 2


def test_the_timeout_ends_retries_too(client: lossd.Client, service: ObservingService) -> None:
    service.failures = [fail(grpc.StatusCode.UNAVAILABLE, "draining")] * 1000
    start = time.monotonic()
    with pytest.raises(lossd.UnavailableError):
        client.compute(PLAN, BATCH, timeout=0.5)
    assert time.monotonic() - start < 2
    assert 2 <= len(service.requests) <= 10


OF_OURS = error_details_pb2.ErrorInfo(reason="CANCELLED", domain="lossd")


@pytest.mark.parametrize(
    ("code", "message", "details", "again"),
    [
        (grpc.StatusCode.UNAVAILABLE, "draining", [OF_OURS], True),
        (grpc.StatusCode.CANCELLED, "stopping", [], True),
        (grpc.StatusCode.CANCELLED, "nobody waits", [OF_OURS], False),
        (grpc.StatusCode.UNKNOWN, "Stream removed", [], True),
        (grpc.StatusCode.UNKNOWN, "Stream removed", [OF_OURS], False),
        (grpc.StatusCode.UNKNOWN, "a bug", [], False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too large", [], False),
        (grpc.StatusCode.INTERNAL, "a bug", [], False),
    ],
)
def test_what_is_retried(
    client: lossd.Client,
    service: ObservingService,
    code: grpc.StatusCode,
    message: str,
    details: list[Any],
    again: bool,
) -> None:
    service.failures = [fail(code, message, *details)]
    if again:
        client.compute(PLAN, BATCH)
    else:
        with pytest.raises(lossd.Error, match=message) as caught:
            client.compute(PLAN, BATCH)
        assert caught.value.code == code
    assert len(service.requests) == 1 + again


def test_a_servers_word_counts_more_than_a_balancers(
    client: lossd.Client, service: ObservingService
) -> None:
    def cut_off(context: grpc.ServicerContext) -> None:
        code = grpc.StatusCode.INVALID_ARGUMENT
        status = status_pb2.Status(code=code.value[0], message="labels: got none")
        details = ("grpc-status-details-bin", status.SerializeToString())
        context.set_trailing_metadata((details,))
        context.abort(grpc.StatusCode.CANCELLED, "RST_STREAM")

    service.failures = [cut_off]
    with pytest.raises(lossd.InvalidArgumentError, match="labels: got none"):
        client.compute(PLAN, BATCH)


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_server_says_when_to_come_again(
    client: lossd.Client, service: ObservingService, code: grpc.StatusCode
) -> None:
    delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=400_000_000))
    service.failures = [fail(code, "later", delay)]
    assert client.compute(PLAN, BATCH).timings.round_trip > 0.4
    assert len(service.requests) == 2


class BusyService(ObservingService):
    """Has no room for calls for a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.free = time.monotonic() + seconds

    def Compute(  # noqa: N802
        self, request: service_pb2.ComputeRequest, context: grpc.ServicerContext
    ) -> service_pb2.ComputeResponse:
        delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=1_000_000))
        if time.monotonic() < self.free:
            fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", delay)(context)
        return super().Compute(request, context)


def test_a_busy_server_is_waited_for() -> None:
    for patience, timeout, comes in ((0.1, 60, True), (0.1, 0.5, False), (0, 60, False)):
        with (
            serving(BusyService(1.0)) as address,
            lossd.Client(address, transport="unary", retry_seconds=patience) as client,
        ):
            if comes:
                assert client.compute(PLAN, BATCH, timeout=timeout).total == 1.5
            else:
                with pytest.raises(lossd.ResourceExhaustedError):
                    client.compute(PLAN, BATCH, timeout=timeout)


def test_a_request_is_sent_again_as_it_was(client: lossd.Client, service: ObservingService) -> None:
    service.failures = [fail(grpc.StatusCode.UNAVAILABLE, "draining")] * 2
    client.compute(PLAN, BATCH, labels=BATCH[:, ::-1], gt_seg=np.ones((1, 2, 2, 3), np.int32))
    first, *others = service.requests
    assert others == [first] * 2
    assert first.request_id


@pytest.mark.parametrize(("failures", "longest"), [(0, 0.1), (3, 0.8), (30, 2.0)])
def test_pauses_grow_and_differ(failures: int, longest: float) -> None:
    """So that those whom one server has failed do not come again together."""
    pauses = [calls._pause(lossd.UnavailableError("gone"), failures) or 0.0 for _ in range(100)]
    assert longest / 2 <= min(pauses) < 0.6 * longest
    assert 0.9 * longest < max(pauses) <= longest


# Time.


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        ({}, 600),
        ({"timeout": 60}, 60),
        ({"timeout": np.float32(60)}, 60),
        ({"timeout": np.array(60)}, 60),
        ({"timeout": None}, math.inf),
        ({"timeout": math.inf}, math.inf),
        ({"timeout": 1e300}, math.inf),
        ({"timeout": 10**400}, math.inf),
    ],
    ids=lambda given: str(given)[:24],
)
def test_timeouts(
    client: lossd.Client, service: ObservingService, timeout: Any, seconds: float
) -> None:
    client.compute(PLAN, BATCH, **timeout)
    assert client.submit(PLAN, BATCH).result(**timeout).total == 1.5
    # gRPC has no end as some 290 years.
    given = service.seconds[0] if service.seconds[0] < 1e8 else math.inf
    assert seconds - 10 <= given <= seconds + 2


@pytest.mark.parametrize("timeout", [-1, -(10**400), math.nan, "soon", "60", [60]], ids=range(6))
def test_bad_timeouts(client: lossd.Client, service: ObservingService, timeout: Any) -> None:
    for ask in (client.compute, client.submit):
        with pytest.raises(lossd.InvalidArgumentError, match="expected a number") as caught:
            ask(PLAN, BATCH, timeout=timeout)
        assert caught.value.field == "timeout"
    assert not service.requests
    pending = client.submit(PLAN, BATCH)
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        pending.result(timeout)
    assert caught.value.field == "timeout"
    assert pending.result().total == 1.5
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        lossd.Client(retry_seconds=timeout)
    assert caught.value.field == "retry_seconds"


def test_after_a_deadline_the_next_call_has_a_connection_of_its_own(
    client: lossd.Client, service: ObservingService
) -> None:
    for _ in range(2):
        client.compute(PLAN, BATCH)
    service.failures = [lambda _: time.sleep(1)]
    with pytest.raises(lossd.DeadlineExceededError):
        client.compute(PLAN, BATCH, timeout=0.3)
    client.compute(PLAN, BATCH)
    first, second, late, next_one = service.peers
    assert first == second == late != next_one


def test_a_server_that_falls_silent_is_left() -> None:
    options = {
        "grpc.keepalive_time_ms": 1000,
        "grpc.keepalive_timeout_ms": 500,
        "grpc.http2.ping_timeout_ms": 500,
    }
    with (
        serving_elsewhere(30.0) as (address, server),
        lossd.Client(address, channel_options=options, retry_seconds=0) as client,
    ):
        call = client.submit(PLAN, BATCH)
        time.sleep(0.5)
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(lossd.UnavailableError):
            call.result(20)


def test_by_default_too_a_server_is_pinged(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    original = grpc.insecure_channel

    def watched(target: str, options: Any = ()) -> grpc.Channel:
        made.append(dict(options))
        return original(target, options)

    monkeypatch.setattr(grpc, "insecure_channel", watched)
    with lossd.Client(address) as client:
        client.info()
    pings = {name: value for name, value in made[-1].items() if "ping" in name or "alive" in name}
    assert pings == {
        "grpc.keepalive_time_ms": 310_000,  # A server may refuse more than one in five minutes.
        "grpc.keepalive_timeout_ms": 20_000,
        "grpc.http2.ping_timeout_ms": 20_000,
        "grpc.http2.max_pings_without_data": 0,
    }


# Which server.


def test_a_closed_client_says_so(address: str) -> None:
    client = lossd.Client(address)
    client.info()
    client.close()
    client.close()
    asks: list[Callable[[], object]] = [
        client.info,
        client.losses,
        lambda: client.check_plan(PLAN),
        lambda: client.compute(PLAN, BATCH),
        lambda: client.wait_until_ready(1),
    ]
    for ask in asks:
        with pytest.raises(lossd.Error, match="the client is closed"):
            ask()


def test_a_channel_that_is_closed_before_a_call_begins(address: str) -> None:
    connection = LazyConnection([address, "127.0.0.1:1"], {}, interruptible=False)

    def ask(close: Callable[[], object]) -> None:
        with connection.call() as used:
            close()
            used.stub.GetServerInfo(service_pb2.GetServerInfoRequest())

    with pytest.raises(ForkedError):
        ask(connection.before_fork)
    with pytest.raises(lossd.Error, match="the client is closed"):
        ask(connection.close)


def test_waiting_for_a_server(service: ObservingService) -> None:
    with serving(service) as address:
        pass
    with lossd.Client(address) as client:
        start = time.monotonic()
        with pytest.raises(lossd.UnavailableError, match=address):
            client.wait_until_ready(0.5)
        assert 0.4 < time.monotonic() - start < 3
        ready = threading.Event()

        def wait() -> None:
            client.wait_until_ready(30)
            ready.set()

        threading.Thread(target=wait).start()
        time.sleep(0.5)
        assert not ready.is_set()
        with serving(service, address):
            assert ready.wait(10)


def test_answers_to_other_requests_are_errors(
    client: lossd.Client, service: ObservingService
) -> None:
    result = client.compute(PLAN, BATCH, request_id="mine")
    assert result.request_id == service.requests[-1].request_id == "mine"
    drawn = {client.compute(PLAN, BATCH).request_id for _ in range(3)}
    assert len(drawn) == 3

    service.answers_to = "another"
    with pytest.raises(lossd.InternalError, match="'another'"):
        client.compute(PLAN, BATCH)


@pytest.mark.parametrize("form", ["list", "commas", "ipv4", "environment"])
def test_several_servers_take_turns(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    services = [ObservingService() for _ in range(2)]
    with serving(services[0]) as first:
        with serving(services[1]) as second:
            both = f"{first},{second}"
            given: Any = {
                "list": [first, second.replace("127.0.0.1", "localhost")],
                "commas": both,
                "ipv4": f"ipv4:{both}",
                "environment": None,
            }[form]
            monkeypatch.setenv("LOSSD_ADDRESS", both)
            client = lossd.Client(given)
            end = time.monotonic() + 10
            while not all(service.requests for service in services) and time.monotonic() < end:
                client.compute(PLAN, BATCH)
            assert all(service.requests for service in services)
        # One is gone.
        before = len(services[0].requests)
        for _ in range(10):
            client.compute(PLAN, BATCH)
        assert len(services[0].requests) == before + 10
        client.close()


def test_of_several_servers_one_may_be_stopped_under_load() -> None:
    totals: list[float] = []
    errors: list[BaseException] = []
    over = threading.Event()
    with LocalServer(server_binary()) as first:
        second = LocalServer(server_binary())
        with lossd.Client([first.address, second.address]) as client:

            def load() -> None:
                try:
                    while not over.is_set():
                        totals.append(client.compute(PLAN, BATCH, BATCH + 1).total)
                except BaseException as error:
                    errors.append(error)

            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            second.stop()
            stopped = len(totals)
            time.sleep(1)
            over.set()
            for thread in threads:
                thread.join()
    assert not errors
    assert len(totals) > stopped
    assert len(set(totals)) == 1


def test_bad_addresses() -> None:
    for address in ("", [], [1], ["a:1", ""]):
        with pytest.raises(lossd.InvalidArgumentError) as caught:
            lossd.Client(address)  # type: ignore[arg-type]
        assert caught.value.field == "address"
    with (
        lossd.Client(["no-such-host.invalid:1"], retry_seconds=0) as client,
        pytest.raises(lossd.UnavailableError, match="no-such-host"),
    ):
        client.info()


def test_channel_options_are_the_callers(address: str) -> None:
    options = {"grpc.max_receive_message_length": 10}
    client = lossd.Client([address], channel_options=options, transport="unary", retry_seconds=0)
    for twin in (client, copy.deepcopy(client), pickle.loads(pickle.dumps(client))):
        with twin, pytest.raises(lossd.ResourceExhaustedError):
            twin.compute(PLAN, BATCH)
        assert twin.address == address
        assert pickle.dumps(twin) == pickle.dumps(client)


def test_a_proxy_is_not_for_this_machine(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    port = address.rpartition(":")[2]
    for mine in (address, f"localhost:{port}", [address, address], f"ipv4:{address}"):
        with lossd.Client(mine) as client:
            client.compute(PLAN, BATCH)
    words = r"through the proxy http_proxy=http://127\.0\.0\.1:1 "
    with lossd.Client("lossd.invalid:1", retry_seconds=0) as client:
        with pytest.raises(lossd.UnavailableError, match=words) as caught:
            client.info()
        assert "secret" not in caught.value.message
    monkeypatch.setenv("no_proxy", "other.invalid,.invalid")
    assert target_of("lossd.invalid:1").proxy is None


def test_a_request_has_no_second_copy(
    client: lossd.Client, service: ObservingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Request] = []
    for name in ("encode_request", "request_messages", "SharedRequest"):
        original = getattr(transport, name)

        def watched(request: Request, *more: int, original: Callable[..., Any] = original) -> Any:
            encoded.append(request)
            return original(request, *more)

        monkeypatch.setattr(transport, name, watched)
    service.failures = [fail(grpc.StatusCode.UNAVAILABLE, "draining")]
    client.compute(PLAN, BATCH)
    assert len(encoded) == 2
    assert encoded[0] is encoded[1]
    assert np.shares_memory(np.asarray(encoded[0].predictions["output"].array), BATCH)


def test_clients_connect_anew_now_and_then() -> None:
    with (
        LocalServer(server_binary(), "--max_connection_age=1", "--log_level=info") as server,
        lossd.Client(server.address, retry_seconds=0) as client,
    ):
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            client.compute(PLAN, outputs=BATCH, labels=BATCH)
        peers = set(re.findall(r"peer=(\S+)", server.log.read_text()))
    assert len(peers) >= 2


def test_an_idle_client_keeps_no_server_from_stopping() -> None:
    with LocalServer(server_binary()) as server, lossd.Client(server.address) as client:
        client.compute(PLAN, outputs=BATCH, labels=BATCH)
        start = time.monotonic()
        assert server.stop() == 0
        # It would wait 5 s for clients that read their answers.
        assert time.monotonic() - start < 4

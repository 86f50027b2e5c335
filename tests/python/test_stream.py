"""Streamed calls: what is sent, what is believed of an answer, and how they end early."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from stub_service import StubService, answer_messages, fail, request_tensors, serving
from unreadable import UnreadableError, unreadable

import lossd
from lossd import transport
from lossd.landing import Expected
from lossd.stream import CHUNK_BYTES, AnswerReader, request_messages
from lossd.tensors import outgoing
from lossd.v1 import service_pb2, service_pb2_grpc, tensor_pb2
from lossd.wire import Request

PLAN = {"losses": [{"function": "WeightedMSELoss"}]}
BATCH = np.arange(24, dtype=np.float32).reshape(1, 2, 2, 2, 3)
# Three chunks, the last of them with a few bytes.
LONG = np.arange(2 * CHUNK_BYTES // 4 + 3, dtype=np.float32).reshape(1, 1, 1, -1)


@pytest.fixture
def client(service: StubService) -> Iterator[lossd.Client]:
    with serving(service) as address, lossd.Client(address, transport="stream") as client:
        yield client


@pytest.fixture(params=["stream", "shm"])
def either(service: StubService, request: pytest.FixtureRequest) -> Iterator[lossd.Client]:
    with serving(service) as address, lossd.Client(address, transport=request.param) as client:
        yield client


@pytest.mark.parametrize(
    "array",
    [
        BATCH,
        LONG,
        LONG[..., : CHUNK_BYTES // 4],
        LONG[..., ::-1],
        LONG.reshape(1, 1, -1, 1).astype(">f4"),
        (LONG % 1000).astype(np.float16),
        torch.from_numpy(LONG).bfloat16(),
        torch.from_numpy(LONG % 1000).half()[..., 1:],
        torch.from_numpy(np.resize(LONG, (2, 3, 50, 60, 70))).transpose(1, 4),
        torch.from_numpy(np.resize(LONG, (300_000, 4, 1, 1, 1)))[:, 1:3],
        torch.from_numpy(BATCH)[..., :0],
    ],
    ids=lambda array: f"{type(array).__module__} {array.dtype} {tuple(array.shape)}",
)
def test_what_is_sent_comes_back(
    either: lossd.Client, service: StubService, array: np.ndarray[Any, Any] | torch.Tensor
) -> None:
    result = either.compute(PLAN, {"a": array, "b": BATCH}, per_term_gradients=True)
    assert service.streamed + service.shared == 1
    for gradients in (result.gradients, *(term.gradients for term in result.terms)):
        gradient = gradients["a"]
        assert type(gradient) is type(array)
        assert str(gradient.dtype) == str(array.dtype).replace(">f4", "float32")
        np.testing.assert_array_equal(bits(gradient), bits(array))
        np.testing.assert_array_equal(bits(gradients["b"]), BATCH)


def bits(array: np.ndarray[Any, Any] | torch.Tensor) -> np.ndarray[Any, Any]:
    """What NumPy can compare."""
    if isinstance(array, torch.Tensor):
        array = array.contiguous()
        return (array.view(torch.int16) if array.dtype == torch.bfloat16 else array).numpy()
    return array


def test_messages_are_what_the_contract_says() -> None:
    header = service_pb2.ComputeRequest(stage="val", log_vars=[0.5])
    tensors: dict[str, Any] = {"labels": LONG.astype(np.uint8), "gt_seg": BATCH.astype(np.int64)}
    request = Request(
        header,
        {"a": outgoing(LONG, "a"), "ü": outgoing(torch.from_numpy(BATCH).transpose(2, 4), "ü")},
        {name: outgoing(tensors[name], name) for name in ("gt_seg", "labels")},
    )
    first, *chunks = map(
        service_pb2.ComputeStreamRequest.FromString, list(request_messages(request))
    )
    assert [field.name for field, _ in first.ListFields()] == ["header"]
    described = request_tensors(first.header)
    assert [list(of.shape) for of in described] == [
        list(shape) for shape in (LONG.shape, (1, 2, 3, 2, 2), LONG.shape, BATCH.shape)
    ]
    assert not any(of.data for of in described)
    data = [b""] * len(described)
    for chunk in chunks:
        assert not chunk.HasField("header")
        assert 0 < len(chunk.data) <= CHUNK_BYTES
        assert chunk.offset == len(data[chunk.tensor])
        assert not any(data[chunk.tensor + 1 :])
        data[chunk.tensor] += chunk.data
    assert data == [
        LONG.tobytes(),
        BATCH.transpose(0, 1, 4, 3, 2).tobytes(),
        tensors["labels"].tobytes(),
        tensors["gt_seg"].tobytes(),
    ]
    first.header.ClearField("predictions")
    first.header.ClearField("labels")
    first.header.ClearField("gt_seg")
    assert first.header == header
    assert len(chunks) == 3 + 1 + 1 + 1


@pytest.mark.parametrize(
    ("chosen", "shares", "small", "large"),
    [
        ("auto", True, "unary", "shm"),
        ("auto", False, "unary", "stream"),
        ("unary", True, "unary", "unary"),
        ("stream", True, "stream", "stream"),
        ("shm", True, "shm", "shm"),
    ],
)
def test_how_batches_travel(
    service: StubService, chosen: transport.Transport, shares: bool, small: str, large: str
) -> None:
    if not shares:
        service.memory = None
    array = np.zeros((1, 1, 1024, 1024), np.float32)
    with serving(service) as address, lossd.Client(address, transport=chosen) as client:
        for expected, batch in ((small, array[:, :, 1:]), (large, array)):
            service.streamed = service.shared = 0
            client.compute(PLAN, batch)
            came = "stream" if service.streamed else "shm" if service.shared else "unary"
            assert came == expected


def test_unknown_transport() -> None:
    with pytest.raises(lossd.InvalidArgumentError, match="stream") as caught:
        lossd.Client(transport="pigeon")  # type: ignore[arg-type]
    assert caught.value.field == "transport"


class Discarding(service_pb2_grpc.LossServiceServicer):
    """Counts what comes, and answers with nothing but the id."""

    GetServerInfo = ListLosses = ValidatePlan = Compute = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.size = 0

    def ComputeStream(  # noqa: N802
        self, request_iterator: Iterator[service_pb2.ComputeStreamRequest], _: grpc.ServicerContext
    ) -> Iterator[service_pb2.ComputeStreamResponse]:
        header = next(request_iterator).header
        self.size = sum(len(chunk.data) for chunk in request_iterator)
        answer = service_pb2.ComputeResponse(request_id=header.request_id)
        yield service_pb2.ComputeStreamResponse(header=answer)


def test_more_than_a_message_may_hold_is_streamed() -> None:
    service = Discarding()
    # Of one element, so that this takes no memory.
    huge = torch.zeros((), dtype=torch.uint8).expand(1, 1, 2049, 1024, 1024)
    with serving(service) as address, lossd.Client(address) as client:
        client.compute(PLAN, {"output": BATCH, "huge": huge})
    assert service.size == 2049 * 2**20 + BATCH.nbytes


def test_a_tensor_that_cannot_be_read_ends_the_call(either: lossd.Client) -> None:
    with pytest.raises(UnreadableError):
        either.compute(PLAN, BATCH, unreadable(1, 1, 2, 2, 2))
    either.compute(PLAN, BATCH)


# What is believed of an answer.

EXPECTED = Expected(
    {"a": outgoing(BATCH, "a"), "b": outgoing(LONG, "b")}, tensor_pb2.D_TYPE_UNSPECIFIED
)
Messages = list[service_pb2.ComputeStreamResponse]


def good_answer() -> Messages:
    response = service_pb2.ComputeResponse(total=1.5)
    for gradients in (response.terms.add().gradients, response.gradients):
        for name, array in (("a", BATCH), ("b", LONG)):
            tensor = outgoing(array, name).description
            tensor.data = array.tobytes()
            gradients.add(name=name, tensor=tensor)
    return list(answer_messages(response))


def read(messages: Messages) -> None:
    reader = AnswerReader(EXPECTED)
    for message in messages:
        reader.take(message.SerializeToString())
    reader.finish()


def a_of(messages: Messages) -> tensor_pb2.Tensor:
    return messages[0].header.gradients[0].tensor


def swap(messages: Messages, i: int, j: int) -> None:
    messages[i], messages[j] = messages[j], messages[i]


LIES: dict[str, tuple[Callable[[Messages], Any], str]] = {
    "nothing": (lambda m: m.clear(), "no message"),
    "no header": (lambda m: m.pop(0), "expected the header"),
    "data beside the header": (lambda m: setattr(m[0], "data", b"x"), "expected the header"),
    "a second header": (lambda m: m.insert(1, m[0]), "expected a chunk"),
    "a header in a chunk": (lambda m: m[1].header.SetInParent(), "expected a chunk"),
    "an empty chunk": (lambda m: setattr(m[1], "data", b""), "expected a chunk"),
    "a chunk too few": (lambda m: m.pop(), r"gradients\[b\]: got \d+ bytes, expected \d+"),
    "a whole tensor too few": (lambda m: m.pop(1), "tensor 1, expected tensor 0"),
    "a chunk too many": (lambda m: m.append(m[-1]), "expected the end"),
    "a chunk twice": (lambda m: m.insert(3, m[2]), "got byte 0, expected byte 262144"),
    "a gap": (lambda m: m.pop(3), "got byte 524288, expected byte 262144"),
    "another order of chunks": (lambda m: swap(m, 2, 3), "got byte 262144, expected byte 0"),
    "another order of tensors": (lambda m: swap(m, 1, 2), "tensor 1, expected tensor 0"),
    "an offset beyond all": (lambda m: setattr(m[1], "offset", 2**64 - 1), "expected byte 0"),
    "a tensor beyond all": (lambda m: setattr(m[1], "tensor", 2**32 - 1), "expected tensor 0"),
    "too long a chunk": (lambda m: setattr(m[1], "data", bytes(97)), "got 97 bytes, expected 1 to"),
    "an unknown gradient": (
        lambda m: setattr(m[0].header.gradients[0], "name", "c"),
        r"gradients\[c\]: expected one for each of a, b",
    ),
    "a gradient twice": (
        lambda m: setattr(m[0].header.gradients[0], "name", "b"),
        r"gradients\[b\]",
    ),
    "another dtype": (
        lambda m: setattr(a_of(m), "dtype", tensor_pb2.D_TYPE_INT32),
        r"gradients\[a\]: got int32 \[1, 2, 2, 2, 3\], expected float32",
    ),
    "an unknown dtype": (lambda m: setattr(a_of(m), "dtype", 77), "got 77 "),
    "another shape": (lambda m: a_of(m).shape.append(2**40), "1099511627776"),
    "data in the header": (lambda m: setattr(a_of(m), "data", b"x"), r"gradients\[a\]"),
}


def test_a_good_answer_is_read() -> None:
    read(good_answer())


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_answer_is_an_error(lie: str) -> None:
    spoil, words = LIES[lie]
    messages = good_answer()
    spoil(messages)
    with pytest.raises(lossd.InternalError, match=words):
        read(messages)


class Scripted(Discarding):
    """Reads the header, and does then what it is told."""

    def __init__(self, then: Callable[[Iterator[Any], grpc.ServicerContext], Messages]) -> None:
        super().__init__()
        self._then = then

    def ComputeStream(  # noqa: N802
        self,
        request_iterator: Iterator[service_pb2.ComputeStreamRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[service_pb2.ComputeStreamResponse]:
        next(request_iterator)
        yield from self._then(request_iterator, context)


def test_a_lying_server_is_left_at_once() -> None:
    ended: list[bool] = []

    def lie(_: Iterator[Any], context: grpc.ServicerContext) -> Messages:
        context.add_callback(lambda: ended.append(True))
        return [service_pb2.ComputeStreamResponse(data=b"x")] * 2

    with serving(Scripted(lie)) as address, lossd.Client(address, transport="stream") as client:
        with pytest.raises(lossd.InternalError, match="expected the header"):
            client.compute(PLAN, BATCH)
        deadline = time.monotonic() + 10
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ended


@pytest.mark.parametrize("chunks_before", [0, 3])
def test_a_refusal_stops_the_sending(monkeypatch: pytest.MonkeyPatch, chunks_before: int) -> None:
    sent: list[int] = []

    def watched(request: Request) -> Iterator[bytes]:
        for message in request_messages(request):
            sent.append(len(message))
            yield message

    def refuse(chunks: Iterator[Any], context: grpc.ServicerContext) -> Messages:
        for _ in range(chunks_before):
            next(chunks)
        fail(grpc.StatusCode.INVALID_ARGUMENT, "labels: got too much")(context)
        return []

    monkeypatch.setattr(transport, "request_messages", watched)
    labels = torch.zeros((), dtype=torch.uint8).expand(1, 1, 1024, 1024, 1024)
    with serving(Scripted(refuse)) as address, lossd.Client(address) as client:
        for _ in range(5):
            sent.clear()
            with pytest.raises(lossd.InvalidArgumentError, match="too much"):
                client.compute(PLAN, BATCH, labels)
            assert len(sent) < 200


def test_a_silent_server_is_left_at_the_deadline() -> None:
    def wait(_: Iterator[Any], context: grpc.ServicerContext) -> Messages:
        while context.is_active():
            time.sleep(0.01)
        return []

    labels = torch.zeros((), dtype=torch.uint8).expand(1, 1, 256, 1024, 1024)
    with serving(Scripted(wait)) as address, lossd.Client(address) as client:
        start = time.monotonic()
        with pytest.raises(lossd.DeadlineExceededError):
            client.compute(PLAN, BATCH, labels, timeout=0.5)
        assert time.monotonic() - start < 5

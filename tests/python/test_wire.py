"""Tensors in messages that are written and read by hand, against Protocol Buffers' own classes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from stub_service import answer_messages

import lossd
from lossd.landing import Expected
from lossd.segmentation import instance_labels
from lossd.stream import AnswerReader
from lossd.tensors import outgoing
from lossd.v1 import service_pb2, tensor_pb2
from lossd.wire import Answer, Request, decode_response, encode_request

VALUES = np.arange(-60, 60, dtype=np.int16).reshape(2, 3, 4, 5)


def test_a_request_is_what_protobuf_makes_of_it() -> None:
    header = service_pb2.ComputeRequest(stage="val", log_vars=[0.5])
    predictions: dict[str, Any] = {
        "a": VALUES.astype(np.float32),
        "ü": VALUES[:, :1].astype(np.float16),
    }
    labels = torch.from_numpy(VALUES).transpose(2, 3)
    data = encode_request(
        Request(
            header,
            {name: outgoing(array, name) for name, array in predictions.items()},
            {"gt_seg": outgoing(VALUES, "gt_seg"), "labels": outgoing(labels, "labels")},
        )
    )
    request = service_pb2.ComputeRequest.FromString(data)
    assert [(named.name, named.tensor.data) for named in request.predictions] == [
        (name, array.tobytes()) for name, array in predictions.items()
    ]
    assert list(request.labels.shape) == [2, 3, 5, 4]
    assert request.labels.data == labels.contiguous().numpy().tobytes()
    assert request.gt_seg.dtype == tensor_pb2.D_TYPE_INT16
    for field in ("predictions", "labels", "gt_seg"):
        request.ClearField(field)
    assert request == header


EMPTY = VALUES[:0]
EXPECTED = Expected(
    {"a": outgoing(VALUES, "a"), "empty": outgoing(EMPTY, "empty")},
    tensor_pb2.D_TYPE_UNSPECIFIED,
)


def make_response() -> service_pb2.ComputeResponse:
    response = service_pb2.ComputeResponse(total=1.5, request_id="x", malis_crop_seed=2**64 - 1)
    response.logs.add(key="train_loss_total", value=1.5)
    response.timings.compute_seconds = 0.25
    for index in range(2):
        term = response.terms.add(name=f"term_{index}", scale=index)
        term.gradients.add(name="a", tensor=_tensor(VALUES + index))
    response.gradients.add(name="a", tensor=_tensor(VALUES))
    response.gradients.add(name="empty", tensor=_tensor(EMPTY))
    return response


def _tensor(array: Any) -> tensor_pb2.Tensor:
    message = outgoing(array, "").description
    message.data = array.tobytes()
    return message


def streamed(response: service_pb2.ComputeResponse) -> Answer:
    reader = AnswerReader(EXPECTED)
    for message in answer_messages(response):
        reader.take(message.SerializeToString())
    return reader.finish()


def in_one_message(response: service_pb2.ComputeResponse) -> Answer:
    return decode_response(response.SerializeToString(), EXPECTED)


@pytest.mark.parametrize("read", [in_one_message, streamed])
def test_an_answer_is_read_as_protobuf_writes_it(
    read: Callable[[service_pb2.ComputeResponse], Answer],
) -> None:
    response = make_response()
    answer = read(make_response())
    np.testing.assert_array_equal(np.asarray(answer.gradients["a"]), VALUES)
    np.testing.assert_array_equal(np.asarray(answer.gradients["empty"]), EMPTY)
    for index, tensors in enumerate(answer.term_gradients):
        np.testing.assert_array_equal(np.asarray(tensors["a"]), VALUES + index)
    response.ClearField("gradients")
    for term in response.terms:
        term.ClearField("gradients")
    assert answer.message == response


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_gradients_have_memory_of_their_own(kind: Callable[[Any], Any]) -> None:
    expected = Expected({"a": outgoing(kind(VALUES), "a")}, tensor_pb2.D_TYPE_UNSPECIFIED)
    response = service_pb2.ComputeResponse()
    response.gradients.add(name="a", tensor=_tensor(VALUES))
    gradient = decode_response(response.SerializeToString(), expected).gradients["a"]
    assert type(gradient) is type(kind(VALUES))
    gradient += 1
    np.testing.assert_array_equal(np.asarray(gradient), VALUES + 1)


def test_what_is_no_answer_is_an_error() -> None:
    whole = make_response().SerializeToString()
    rng = random.Random(0)
    broken = [whole[:size] for size in range(len(whole))]
    broken += [rng.randbytes(rng.randrange(40)) for _ in range(2000)]
    refused = 0
    for data in broken:
        try:
            decode_response(data, EXPECTED)
        except lossd.InternalError:
            refused += 1
    assert refused > 2000


def test_a_request_too_large_for_a_message_is_refused_before_it_is_copied() -> None:
    # 3 GiB of one element, which a copy would need.
    huge = torch.zeros(()).expand(3, 256, 1024, 1024)
    with pytest.raises(lossd.InvalidArgumentError, match=r"got 32\d{8} bytes") as caught:
        encode_request(
            Request(service_pb2.ComputeRequest(), {"output": outgoing(huge, "output")}, {})
        )
    assert caught.value.field == "predictions"


def test_tensors_in_a_list_are_refused() -> None:
    with pytest.raises(lossd.InvalidArgumentError, match=r"labels: got a list of tensors"):
        outgoing([torch.ones(2)], "labels")


@pytest.mark.parametrize(
    ("ids", "dtype"),
    [
        ([0, 255], torch.uint8),
        ([0, 256], torch.uint16),
        ([0, 65536], torch.uint32),
        ([0, 2**32], torch.int64),
        ([-1, 127], torch.int8),
        ([-1, 128], torch.int16),
        ([-1, 2**31], torch.int64),
    ],
)
@pytest.mark.parametrize("given", [torch.float32, torch.float64])
def test_ids_in_floating_point_become_the_narrowest_integers(
    ids: list[int], dtype: torch.dtype, given: torch.dtype
) -> None:
    narrow = instance_labels(torch.tensor(ids, dtype=given))
    assert isinstance(narrow, torch.Tensor)
    assert narrow.dtype == dtype
    assert narrow.tolist() == ids


def test_ids_of_numpy_stay_numpys() -> None:
    for given in (">f4", np.float64):
        narrow = instance_labels(np.array([[3, 300]]).astype(given))
        assert isinstance(narrow, np.ndarray)
        assert narrow.dtype == np.uint16
        assert narrow.tolist() == [[3, 300]]


def test_ids_in_integers_are_left_as_they_are() -> None:
    for ids in (torch.tensor([1, 300]), np.array([0, 2**64 - 1], dtype=np.uint64)):
        assert instance_labels(ids) is ids

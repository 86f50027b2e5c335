"""Bad input through the wire: an error that names the field each time, and the server goes on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
import numpy as np
import pytest
import torch
from local_server import LocalServer

import lossd
from lossd import errors
from lossd.v1 import service_pb2, service_pb2_grpc, tensor_pb2

MALIS = {"function": "MalisLoss"}
BCE = {"function": "WeightedBCEWithLogitsLoss"}
SHAPE = (1, 3, 4, 5, 6)
PREDICTION = np.linspace(-2, 2, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
LABELS = (PREDICTION > 0).astype(np.uint8)
GOOD: dict[str, Any] = {"plan": [MALIS, BCE], "outputs": PREDICTION, "labels": LABELS}


@pytest.fixture(autouse=True)
def goes_on(client: lossd.Client, server: LocalServer) -> Iterator[None]:
    """After each test the server answers as it did before it."""
    before = client.compute(**GOOD)
    yield
    after = client.compute(**GOOD)
    assert server.running()
    assert after.total == before.total
    np.testing.assert_array_equal(after.gradients["output"], before.gradients["output"])


def with_value(value: float) -> Any:
    prediction = PREDICTION.copy()
    prediction[0, 1, 2, 3, 4] = value
    return prediction


def term(**fields: Any) -> dict[str, Any]:
    return {"plan": [{**BCE, **fields}]}


def malis(**kwargs: Any) -> dict[str, Any]:
    return {"plan": [{**MALIS, "kwargs": kwargs}]}


class NoArray:
    """As an array on a device that must be asked for."""

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("not to be converted")


def nested() -> torch.Tensor:
    with warnings.catch_warnings(action="ignore"):  # It is a prototype.
        return torch.nested.nested_tensor([torch.ones(3)])


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

# What is wrong with the call: what differs from GOOD, the field at fault, and words of the message.
BAD_CALLS: dict[str, tuple[dict[str, Any], str, str]] = {
    # The plan.
    "no terms": ({"plan": []}, "losses", "at least one"),
    "plan without losses": ({"plan": {"terms": []}}, "losses", "terms"),
    "plan is no YAML": ({"plan": lossd.Plan("losses: [")}, "plan", ""),
    "empty plan": ({"plan": lossd.Plan("")}, "plan", ""),
    "endless plan": ({"plan": [BCE] * 257}, "losses", "at most 256"),
    "nested without end": ({"plan": lossd.Plan("[" * 100_000)}, "plan", "deeper than"),
    "unknown loss": (
        {"plan": [{"function": "WeightedMseLoss"}]},
        "losses[0].function",
        "WeightedMSELoss",
    ),
    "unknown field": (term(wieght=2), "losses[0].wieght", "weight"),
    "unknown option": (
        malis(malis_crop=3),
        "losses[0].kwargs.malis_crop",
        "malis_crop_size",
    ),
    "ill-typed option": (malis(sigmoid="maybe"), "losses[0].kwargs.sigmoid", "true or false"),
    "ill-valued option": (
        {"plan": [BCE, {"function": "SmoothL1Loss", "kwargs": {"beta": -1}}]},
        "losses[1].kwargs.beta",
        "-1",
    ),
    "no scalar": (malis(reduction="none"), "losses[0].kwargs.reduction", "none"),
    "weight beyond float32": (term(weight=1e39), "losses[0].weight", "float32"),
    "endless search": (
        {"plan": [{"function": "ScnpLoss", "kwargs": {"neighborhood_size": 2**40 + 1}}]},
        "losses[0].kwargs.neighborhood_size",
        "15",
    ),
    "endless thinning": (
        {"plan": [{"function": "SoftClDiceLoss", "kwargs": {"num_iters": 2**40}}]},
        "losses[0].kwargs.num_iters",
        "100",
    ),
    "weights of too few classes": (
        {
            "plan": [{"function": "CrossEntropyLoss", "kwargs": {"weight": [1, 2]}}],
            "labels": LABELS[:, :1],
        },
        "losses[0].kwargs.weight",
        "3",
    ),
    "zero pos_weight": (term(pos_weight=0), "losses[0].pos_weight", "0"),
    "unwanted pos_weight": (
        {"plan": [{**MALIS, "pos_weight": 2}]},
        "losses[0].pos_weight",
        "weight",
    ),
    "loss that plans cannot use": ({"plan": [{"function": "GANLoss"}]}, "losses[0].function", ""),
    "unknown head": (term(pred_head="aff"), "losses[0].pred_head", "aff"),
    "slice with a step": (term(pred_slice="0:3:2"), "losses[0].pred_slice", "0:3:2"),
    "slice out of range": (term(pred_slice="2:5"), "losses[0].pred_slice", "3"),
    "empty slice": (term(pred_slice="2:1"), "losses[0].pred_slice", ""),
    "empty slice by its short name": (term(target="2:1"), "losses[0].target", ""),
    "slice out of range by its short name": (term(pred="2:5"), "losses[0].pred", "3"),
    "missing label_mask": (term(require_label_mask=True), "label_mask", "losses[0]"),
    "offset of two numbers": (malis(nhood=[[1, 0]]), "losses[0].kwargs.nhood[0]", "z, y, x"),
    "crop of two numbers": (malis(malis_crop_size=[2, 2]), "losses[0].kwargs.malis_crop_size", ""),
    # The batch.
    "no predictions": ({"outputs": {}}, "predictions", ""),
    "rank 3": ({"outputs": PREDICTION[0, 0]}, "predictions[output].shape", ""),
    "rank 6": ({"outputs": PREDICTION[None]}, "predictions[output].shape", ""),
    "integer predictions": (
        {"outputs": PREDICTION.astype(np.int32)},
        "predictions[output].dtype",
        "float32",
    ),
    "double predictions": (
        {"outputs": PREDICTION.astype(np.float64)},
        "predictions[output].dtype",
        "float32",
    ),
    "empty predictions": ({"outputs": PREDICTION[:, :, :0]}, "predictions[output].shape", ""),
    "NaN in a prediction": ({"outputs": with_value(np.nan)}, "", "term_0"),
    "no labels": ({"labels": None}, "labels", ""),
    "labels of another batch": ({"labels": LABELS.repeat(2, axis=0)}, "labels", ""),
    "too few label channels": ({"labels": LABELS[:, :2]}, "losses[0].target_slice", "labels"),
    "mask of another batch": ({"mask": np.ones((2, 1, 4, 5, 6))}, "mask", ""),
    "mask of wrong channels": ({"mask": np.ones((1, 2, 4, 5, 6))}, "mask", ""),
    "NaN in a mask": ({"mask": with_value(np.nan)}, "mask.data", "not finite"),
    "integers as weights in a mask": ({"mask": LABELS * 255}, "mask.data", "mask > 0"),
    "a negative mask": ({"mask": -LABELS.astype(np.int32)}, "mask.data", "-1"),
    "mask of weights alone for MALIS": (
        {"mask": LABELS.astype(np.float32) * 255},
        "mask",
        "MalisLoss",
    ),
    "mask_slice of 255 for MALIS": (
        {"plan": [{**MALIS, "mask": 2}], "labels": LABELS * 255},
        "losses[0].mask",
        "nowhere 1",
    ),
    "label_mask of 255": ({"label_mask": LABELS * 255}, "label_mask.data", "label_mask > 0"),
    "mask of wrong rank": ({"mask": np.ones((1, 3))}, "mask", ""),
    "label_mask of another shape": (
        {"label_mask": np.ones((1, 1, 4, 5, 6), bool)},
        "label_mask",
        "",
    ),
    "float label_mask": ({"label_mask": np.ones(SHAPE, np.float32)}, "label_mask", ""),
    "float gt_seg": ({"gt_seg": np.ones((1, 4, 5, 6), np.float32)}, "gt_seg", ""),
    "gt_seg of another size": ({"gt_seg": np.ones((1, 4, 5, 5), np.int32)}, "gt_seg", ""),
    "gt_seg of wrong rank": ({"gt_seg": np.ones((5, 6), np.int32)}, "gt_seg.shape", "[5, 6]"),
    "class out of range": (
        {"plan": [{"function": "CrossEntropyLoss"}], "labels": LABELS[:, :1] + 3},
        "labels",
        "class 3",
    ),
    "class out of range, one-hot": (
        {
            "plan": [{"function": "DiceLoss", "kwargs": {"to_onehot_y": True, "softmax": True}}],
            "labels": LABELS[:, :1] - np.int64(1),
        },
        "labels",
        "class -1",
    ),
    "crop larger than the volume": (
        malis(malis_crop_size=[4, 6, 6]),
        "losses[0].kwargs.malis_crop_size",
        "",
    ),
    "crop beyond the volume": (
        {**malis(malis_crop_size=4), "malis_crop_origin": (0, 2, 0)},
        "malis_crop",
        "",
    ),
    "crop before the volume": (
        {**malis(malis_crop_size=4), "malis_crop_origin": (0, 0, -1)},
        "malis_crop",
        "",
    ),
    "too many crops": (
        {**malis(malis_crop_size=4), "malis_crop_origin": [(0, 0, 0), (0, 0, 1)]},
        "malis_crop",
        "",
    ),
    "MALIS in 2-D": (
        {"outputs": PREDICTION[:, :, 0], "labels": LABELS[:, :, 0], "plan": [MALIS]},
        "",
        "",
    ),
    "channels unlike nhood": (malis(nhood=[[0, 0, 1]]), "", "nhood"),
    "wrong number of log_vars": (
        {
            "plan": {"losses": [BCE], "loss_balancing": {"strategy": "uncertainty"}},
            "log_vars": [0.0, 0.0],
        },
        "log_vars",
        "2",
    ),
    "infinite log_vars": (
        {
            "plan": {"losses": [BCE], "loss_balancing": {"strategy": "uncertainty"}},
            "log_vars": [np.inf],
        },
        "log_vars",
        "",
    ),
    "log_vars that make the total infinite": (
        {
            "plan": {"losses": [BCE], "loss_balancing": {"strategy": "uncertainty"}},
            "log_vars": [-1e4],
        },
        "log_vars",
        "inf",
    ),
    "heads without a name for them": (
        {"outputs": {"a": PREDICTION, "b": PREDICTION}},
        "",
        "head",
    ),
    "scales without a main output": (
        {"outputs": {"ds_1": PREDICTION}, "mode": "deep_supervision"},
        "predictions",
        "output",
    ),
    # What cannot be put into a request.
    "plan of bytes": ({"plan": b"losses: []"}, "plan", "plain data"),
    "plan without end": ({"plan": ENDLESS}, "plan", "recursion"),
    "plan in no file": ({"plan": "no-such-file.yaml"}, "plan", "no-such-file.yaml"),
    "plan of half a character": ({"plan": [{"function": "\ud800"}]}, "plan", "\\ud800"),
    "sparse labels": ({"labels": torch.ones(SHAPE).to_sparse()}, "labels", "sparse_coo"),
    "labels without elements": ({"labels": torch.ones(SHAPE, device="meta")}, "labels", "meta"),
    "nested labels": ({"labels": nested()}, "labels", "nested"),
    "sparse predictions": (
        {"outputs": {"a": torch.ones(SHAPE).to_sparse()}},
        "predictions[a]",
        "sparse_coo",
    ),
    "ragged labels": ({"labels": [[1], [1, 2]]}, "labels", "no array"),
    "labels that are no array": ({"labels": NoArray()}, "labels", "not to be converted"),
    "head named 1": ({"outputs": {1: PREDICTION}}, "predictions", "named 1"),
    "head named in bytes": ({"outputs": {b"a": PREDICTION}}, "predictions", "named b'a'"),
    "head of half a character": ({"outputs": {"\ud800": PREDICTION}}, "predictions", "\\ud800"),
    "mode that is a list": ({"mode": ["standard"]}, "mode", "deep_supervision"),
    "stage 5": ({"stage": 5}, "stage", "got 5, expected a string"),
    "stage of half a character": ({"stage": "\ud800"}, "stage", "\\ud800"),
    "request_id 5": ({"request_id": 5}, "request_id", "got 5, expected a string"),
    "traceparent 5": ({"traceparent": 5}, "traceparent", "got 5"),
    "losses_only in words": ({"losses_only": "no"}, "losses_only", "True or False"),
    "negative seed": ({"malis_crop_seed": -1}, "malis_crop_seed", "got -1, expected an integer"),
    "fractional seed": ({"malis_crop_seed": 1.5}, "malis_crop_seed", "got 1.5"),
    "offset beyond 64 bits": ({"labels_from_gt_seg": [(2**64, 0, 0)]}, "labels_from_gt_seg", ""),
    "offset beyond 63 bits": (
        {"labels_from_gt_seg": np.array([(2**64 - 1, 0, 0)], np.uint64)},
        "labels_from_gt_seg",
        "z, y, x",
    ),
    "ragged origins": ({"malis_crop_origin": [(0, 0, 0), (0, 0)]}, "malis_crop_origin", "z, y, x"),
    "one log_var for all": ({"log_vars": np.float32(1)}, "log_vars", "sequence of numbers"),
    "log_vars in words": ({"log_vars": ["a"]}, "log_vars", "sequence of numbers"),
    "log_vars beyond floats": ({"log_vars": [10**400]}, "log_vars", "sequence of numbers"),
    "sparse task_weights": (
        {"task_weights": torch.ones(2).to_sparse()},
        "task_weights",
        "sequence of numbers",
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_call(client: lossd.Client, name: str) -> None:
    changes, field, words = BAD_CALLS[name]
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        client.compute(**{**GOOD, **changes})
    given = caught.value.field
    assert given is not None
    assert given.startswith(field)
    assert caught.value.message.startswith(given)
    assert words in caught.value.message


def truncate(tensor: tensor_pb2.Tensor) -> None:
    tensor.data = tensor.data[:-1]


def lengthen(tensor: tensor_pb2.Tensor) -> None:
    tensor.data += b"\0"


def forget_dtype(tensor: tensor_pb2.Tensor) -> None:
    tensor.dtype = tensor_pb2.D_TYPE_UNSPECIFIED


def invent_dtype(tensor: tensor_pb2.Tensor) -> None:
    tensor.dtype = 77  # type: ignore[assignment]


def forget_shape(tensor: tensor_pb2.Tensor) -> None:
    del tensor.shape[:]


def make_negative(tensor: tensor_pb2.Tensor) -> None:
    tensor.shape[0], tensor.shape[1] = -tensor.shape[0], -tensor.shape[1]


def make_huge(tensor: tensor_pb2.Tensor) -> None:
    tensor.shape.extend([2**31, 2**31, 2**31])


@pytest.fixture
def request_and_send(
    server: LocalServer,
) -> Iterator[tuple[service_pb2.ComputeRequest, Callable[[], None]]]:
    """A good request to spoil, and what sends it."""
    request = service_pb2.ComputeRequest()
    request.plan.text = lossd.Plan.of(GOOD["plan"]).text
    prediction = request.predictions.add(name="output")
    for array, tensor in ((PREDICTION, prediction.tensor), (LABELS, request.labels)):
        tensor.dtype = getattr(tensor_pb2, f"D_TYPE_{array.dtype.name.upper()}")
        tensor.shape.extend(array.shape)
        tensor.data = array.tobytes()
    with grpc.insecure_channel(server.address) as channel:
        stub = service_pb2_grpc.LossServiceStub(channel)

        def send() -> None:
            try:
                stub.Compute(request)
            except grpc.RpcError as error:
                raise errors.from_rpc(error) from None

        yield request, send


@pytest.mark.parametrize("which", ["labels", "predictions[output]"])
@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (truncate, "data"),
        (lengthen, "data"),
        (forget_dtype, "dtype"),
        (invent_dtype, "dtype"),
        (forget_shape, "shape"),
        (make_negative, "shape"),
        (make_huge, "shape"),
    ],
)
def test_bad_tensor(
    request_and_send: tuple[service_pb2.ComputeRequest, Callable[[], None]],
    which: str,
    spoil: Callable[[tensor_pb2.Tensor], None],
    part: str,
) -> None:
    request, send = request_and_send
    send()
    spoil(request.labels if which == "labels" else request.predictions[0].tensor)
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        send()
    assert caught.value.field == f"{which}.{part}"


def test_labels_that_are_a_bool_of_2(
    request_and_send: tuple[service_pb2.ComputeRequest, Callable[[], None]],
) -> None:
    request, send = request_and_send
    request.labels.dtype = tensor_pb2.D_TYPE_BOOL
    request.labels.data = b"\2" * LABELS.size
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        send()
    assert caught.value.field == "labels.data"


def no_plan(request: service_pb2.ComputeRequest) -> None:
    request.ClearField("plan")


def unknown_mode(request: service_pb2.ComputeRequest) -> None:
    request.mode = 9  # type: ignore[assignment]


def the_same_head_twice(request: service_pb2.ComputeRequest) -> None:
    request.predictions.append(request.predictions[0])


def unnamed_head(request: service_pb2.ComputeRequest) -> None:
    request.predictions[0].name = ""


def endless_request_id(request: service_pb2.ComputeRequest) -> None:
    request.request_id = "x" * 129


def typed_plan_of_nothing(request: service_pb2.ComputeRequest) -> None:
    request.plan.typed.SetInParent()


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (no_plan, "plan"),
        (typed_plan_of_nothing, "losses"),
        (unknown_mode, "mode"),
        (the_same_head_twice, "predictions[output]"),
        (unnamed_head, "predictions"),
        (endless_request_id, "request_id"),
    ],
)
def test_bad_request(
    request_and_send: tuple[service_pb2.ComputeRequest, Callable[[], None]],
    spoil: Callable[[service_pb2.ComputeRequest], None],
    field: str,
) -> None:
    request, send = request_and_send
    spoil(request)
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        send()
    given = caught.value.field
    assert given is not None
    assert given == field


def test_bytes_that_are_no_request(server: LocalServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        path = "/lossd.v1.LossService/Compute"
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError):
            method(b"\xff" * 100)

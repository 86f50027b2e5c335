"""The client by itself, against a stub of the service in this process."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from stub_service import StubService, fail

import lossd
from lossd.v1 import plan_pb2, service_pb2, tensor_pb2

PLAN = {"losses": [{"function": "WeightedMSELoss"}]}


@pytest.fixture
def client(address: str) -> Iterator[lossd.Client]:
    with lossd.Client(address) as client:
        yield client


PREDICTION = np.arange(24, dtype=np.float32).reshape(1, 2, 2, 2, 3)


def test_numpy_comes_back_as_numpy(client: lossd.Client) -> None:
    result = client.compute(PLAN, PREDICTION, PREDICTION)
    gradient = result.gradients["output"]
    assert isinstance(gradient, np.ndarray)
    np.testing.assert_array_equal(gradient, PREDICTION)
    gradient += 1  # It is the caller's own.
    assert result.total == 1.5
    assert result.logs == {"train_loss_total": 1.5}
    assert result.timings.round_trip > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_comes_back_as_torch(client: lossd.Client, dtype: torch.dtype) -> None:
    prediction = torch.randn(1, 2, 3, 4, 5, dtype=dtype, requires_grad=True)
    gradient = client.compute(PLAN, {"aff": prediction}).gradients["aff"]
    assert isinstance(gradient, torch.Tensor)
    assert gradient.dtype == dtype
    assert not gradient.requires_grad
    assert torch.equal(gradient, prediction.detach())


@pytest.mark.parametrize(
    "view",
    [
        PREDICTION[..., ::-1],
        PREDICTION.transpose(0, 1, 4, 2, 3),
        PREDICTION.astype(">f4"),
        torch.from_numpy(PREDICTION).transpose(2, 4),
        torch.from_numpy(PREDICTION)[..., ::2],
    ],
    ids=["reversed", "transposed", "big-endian", "torch-transposed", "torch-strided"],
)
def test_any_layout_travels_in_c_order(client: lossd.Client, view: Any) -> None:
    gradient = client.compute(PLAN, view).gradients["output"]
    np.testing.assert_array_equal(np.asarray(gradient), np.asarray(view))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_every_dtype_of_the_wire_is_sent_as_itself(
    client: lossd.Client, service: StubService, kind: Callable[[Any], Any]
) -> None:
    names = [name for name, number in tensor_pb2.DType.items() if number]
    for name in names:
        numpy_name = name.removeprefix("D_TYPE_").lower()
        if numpy_name == "bfloat16":
            continue
        values = np.array([[0, 1]], dtype=numpy_name)
        client.compute(PLAN, PREDICTION, labels=kind(values))
        sent = service.requests[-1].labels
        assert tensor_pb2.DType.Name(sent.dtype) == name
        assert (list(sent.shape), sent.data) == ([1, 2], values.tobytes())


def test_unsupported_dtype_is_an_error_that_names_the_field(client: lossd.Client) -> None:
    with pytest.raises(lossd.InvalidArgumentError, match="complex64") as caught:
        client.compute(PLAN, PREDICTION, labels=PREDICTION.astype(np.complex64))
    assert caught.value.field == "labels.dtype"


def test_everything_of_the_batch_is_sent(client: lossd.Client, service: StubService) -> None:
    result = client.compute(
        PLAN,
        PREDICTION,
        labels=np.ones((1, 2)),
        mask=np.ones((1, 3)),
        label_mask=np.ones((1, 4)),
        gt_seg=np.ones((1, 5)),
        mode="deep_supervision",
        stage="val",
        malis_crop_origin=[(1, 2, 3), (4, 5, 6)],
        malis_crop_seed=7,
        log_vars=torch.tensor([0.5, 0.25]),
        task_weights=[1.0, 2.0],
        per_term_gradients=True,
    )
    request = service.requests[-1]
    shapes = [t.shape for t in (request.labels, request.mask, request.label_mask, request.gt_seg)]
    assert [list(shape) for shape in shapes] == [[1, 2], [1, 3], [1, 4], [1, 5]]
    assert request.mode == service_pb2.MODE_DEEP_SUPERVISION
    assert request.stage == "val"
    assert [(o.z, o.y, o.x) for o in request.malis_crop.origins] == [(1, 2, 3), (4, 5, 6)]
    assert request.malis_crop.seed == 7
    assert list(request.task_weights) == [1, 2]
    assert request.per_term_gradients
    gradient = result.gradients["log_vars"]
    assert isinstance(gradient, torch.Tensor)
    assert gradient.tolist() == [0.5, 0.25]


def test_absent_parts_are_not_sent(client: lossd.Client, service: StubService) -> None:
    client.compute(PLAN, PREDICTION)
    fields = {field.name for field, _ in service.requests[-1].ListFields()}
    assert fields == {"request_id", "plan", "mode", "stage", "predictions"}


@pytest.mark.parametrize("origin", [(1, 2), (1.0, 2.0, 3.0), "center"])
def test_malformed_crop_origin(client: lossd.Client, origin: Any) -> None:
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        client.compute(PLAN, PREDICTION, malis_crop_origin=origin)
    assert caught.value.field == "malis_crop_origin"


def test_unknown_mode(client: lossd.Client) -> None:
    with pytest.raises(lossd.InvalidArgumentError, match="deep_supervision"):
        client.compute(PLAN, PREDICTION, mode="deep")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_server_that_stops_is_retried(
    client: lossd.Client, service: StubService, code: grpc.StatusCode
) -> None:
    service.failures = [fail(code, "stopping")] * 2
    assert client.compute(PLAN, PREDICTION).total == 1.5
    assert len(service.requests) == 3


def test_full_queue_is_retried_after_the_delay_it_names(
    client: lossd.Client, service: StubService
) -> None:
    delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=300_000_000))
    service.failures = [fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full", delay)]
    assert client.compute(PLAN, PREDICTION).timings.round_trip > 0.3
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, lossd.ResourceExhaustedError),
        (grpc.StatusCode.INTERNAL, lossd.InternalError),
        (grpc.StatusCode.UNIMPLEMENTED, lossd.UnimplementedError),
        (grpc.StatusCode.DATA_LOSS, lossd.Error),
    ],
)
def test_other_errors_are_raised_at_once(
    client: lossd.Client, service: StubService, code: grpc.StatusCode, error: type[lossd.Error]
) -> None:
    service.failures = [fail(code, "too bad")] * 2
    with pytest.raises(error, match="too bad") as caught:
        client.compute(PLAN, PREDICTION)
    assert caught.value.code == code
    assert len(service.requests) == 1


def test_bad_input_names_its_field(client: lossd.Client, service: StubService) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="losses[1].kwargs.beta")
    details = error_details_pb2.BadRequest(field_violations=[violation])
    message = "losses[1].kwargs.beta: got -1, expected at least 0"
    service.failures = [fail(grpc.StatusCode.INVALID_ARGUMENT, message, details)]
    with pytest.raises(ValueError, match="expected at least 0") as caught:
        client.compute(PLAN, PREDICTION)
    assert isinstance(caught.value, lossd.InvalidArgumentError)
    assert caught.value.field == "losses[1].kwargs.beta"
    assert caught.value.message == message


def test_retries_end() -> None:
    with lossd.Client("127.0.0.1:1", retry_seconds=0.3) as client, pytest.raises(ConnectionError):
        client.info()


def test_timeout_bounds_the_retries(address: str, service: StubService) -> None:
    service.failures = [fail(grpc.StatusCode.UNAVAILABLE, "draining")] * 1000
    with lossd.Client(address, retry_seconds=None) as client, pytest.raises(lossd.UnavailableError):
        client.compute(PLAN, PREDICTION, timeout=0.5)
    assert 2 <= len(service.requests) <= 10


def test_a_copy_of_a_client_connects_anew(client: lossd.Client) -> None:
    for twin in (copy.deepcopy(client), pickle.loads(pickle.dumps(client))):
        client.close()
        with twin:
            assert twin.compute(PLAN, PREDICTION).total == 1.5


def test_plans_in_every_form(tmp_path: Any) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("losses: [{function: WeightedMSELoss}]")
    assert lossd.Plan.of(str(path)) == lossd.Plan.of(path) == lossd.Plan(path.read_text())
    assert json.loads(lossd.Plan.of(PLAN).text) == PLAN
    assert json.loads(lossd.Plan.of(PLAN["losses"]).text) == PLAN["losses"]
    plan = lossd.Plan(text="losses: []")
    assert lossd.Plan.of(plan) is plan
    for text in ("- function: WeightedMSELoss", '[{"function": "WeightedMSELoss"}]', "losses:\n"):
        assert lossd.Plan.of(text).text == text


def test_plan_values_of_numpy_and_torch_are_data() -> None:
    kwargs = {"nhood": -np.eye(3, dtype=np.int32), "beta": np.float32(0.5), "w": torch.ones(2)}
    read = json.loads(lossd.Plan.from_dict([{"kwargs": kwargs}]).text)[0]["kwargs"]
    assert read == {"nhood": [[-1, 0, 0], [0, -1, 0], [0, 0, -1]], "beta": 0.5, "w": [1, 1]}


@pytest.mark.parametrize("value", [float("nan"), object(), b"bytes"])
def test_plan_values_that_are_no_data(value: Any) -> None:
    with pytest.raises(lossd.InvalidArgumentError, match=r"^plan: ") as caught:
        lossd.Plan.from_dict({"losses": [{"weight": value}]})
    assert caught.value.field == "plan"


def test_check_plan_reads_as_text() -> None:
    good = lossd.PlanCheck((), ("term_0: squares",), plan_pb2.Plan())
    bad = lossd.PlanCheck((("losses", "losses: got none"),), (), None)
    assert good
    assert str(good) == "term_0: squares"
    assert not bad
    assert str(bad) == "losses: got none"

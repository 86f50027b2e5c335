"""The client of a lossd server."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import grpc
import numpy as np

from lossd.channel import Connection, LazyConnection
from lossd.errors import Error, InvalidArgumentError, UnavailableError, from_rpc
from lossd.plan import Plan, PlanLike
from lossd.results import PlanCheck, Result, Voxel, read_plan_check, read_result
from lossd.tensors import Array, outgoing
from lossd.transport import Transport, check_transport, exchange
from lossd.v1 import plan_pb2, service_pb2, tensor_pb2
from lossd.wire import Request

Mode = Literal["standard", "deep_supervision"]

_MODES: dict[str, service_pb2.Mode.ValueType] = {
    "standard": service_pb2.MODE_STANDARD,
    "deep_supervision": service_pb2.MODE_DEEP_SUPERVISION,
}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0

_Answer = TypeVar("_Answer")


class Client:
    """A connection to a lossd server, closed by `close` or at the end of a `with` block.

    Nothing is connected before the first call. Thread-safe; a forked process that uses its parent's
    client gets a connection of its own. A call that finds the server unavailable or its queue full
    is repeated after a growing pause: computing is pure, so nothing happens twice.

    Args:
        address: "host:port", or anything gRPC takes as a target. By default what the environment
            variable LOSSD_ADDRESS says at the first call, or else "localhost:50051".
        retries: How many times a call is repeated before its error is raised.
        transport: "auto" streams batches from 4 MiB on and sends smaller ones in one message;
            "unary" and "stream" do the one or the other, for tests and measurements.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        retries: int = 6,
        transport: Transport = "auto",
    ) -> None:
        check_transport(transport)
        self._retries = retries
        self._transport: Transport = transport
        self._connection = LazyConnection(address)

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._connection.address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Client], tuple[str | None]]:
        """A copy connects anew: models that hold a client are copied and sent to processes."""
        return functools.partial(Client, retries=self._retries, transport=self._transport), (
            self._connection.given_address,
        )

    def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        self._connection.close()

    def compute(
        self,
        plan: PlanLike,
        outputs: Array | Mapping[str, Array],
        labels: Array | None = None,
        mask: Array | None = None,
        label_mask: Array | None = None,
        gt_seg: Array | None = None,
        *,
        mode: Mode = "standard",
        stage: str = "train",
        malis_crop_origin: Voxel | Sequence[Voxel] | None = None,
        malis_crop_seed: int | None = None,
        log_vars: Array | Sequence[float] | None = None,
        task_weights: Array | Sequence[float] | None = None,
        per_term_gradients: bool = False,
        losses_only: bool = False,
        float32_gradients: bool = False,
        allow_non_finite: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """Computes a plan's losses on a batch, and d total / d prediction for each prediction.

        Arrays are NumPy's or PyTorch's, on any device; what comes back is of the same kind, device
        and, unless asked otherwise, dtype as the prediction it belongs to.

        Args:
            plan: A Plan, a mapping, a list of terms, or the path of a YAML or JSON file.
            outputs: The prediction [B, C, Z, Y, X] or [B, C, Y, X], or named heads; float32,
                float16 or bfloat16. With deep supervision: "output" and the coarser "ds_1" …
                "ds_4", or named heads "aff" and "ds_1/aff".
            labels: [B, L, …], any dtype. Needed unless no term needs them.
            mask: Where the batch counts, [B or 1, 1 or C, …].
            label_mask: Which labels are known, of labels' shape; bool or uint8.
            gt_seg: Instance labels [B, Z, Y, X] or [B, 1, Z, Y, X] for MALIS; any integer dtype, 0
                is background.
            mode: "standard" or "deep_supervision".
            stage: Prefix of the log keys.
            malis_crop_origin: First voxel (z, y, x) of MALIS's crop; or a sequence of them, one for
                each evaluation of a cropped term in the order scale, then term. Drawn by the server
                when absent.
            malis_crop_seed: What the server draws origins from when it draws them; the same seed,
                the same origins.
            log_vars: Log-variance of each term, for uncertainty balancing.
            task_weights: Weight of each term, for GradNorm balancing.
            per_term_gradients: Also return the gradient of each term by itself.
            losses_only: Compute no gradients.
            float32_gradients: Return gradients in float32, whatever the predictions are: in float16
                small ones underflow.
            allow_non_finite: Return losses and gradients that are not finite, too; by default they
                are an error that describes the tensors they came from.
            timeout: Seconds until DeadlineExceededError, repeated attempts included; None waits.

        Raises:
            InvalidArgumentError: Something in plan or batch is wrong; its `field` says what.
            Error: Any other failure, by its code.
        """
        if mode not in _MODES:
            expected = " or ".join(_MODES)
            raise InvalidArgumentError(f"mode: got {mode!r}, expected {expected}", field="mode")
        predictions = outputs if isinstance(outputs, Mapping) else {"output": outputs}
        header = service_pb2.ComputeRequest(
            plan=plan_pb2.PlanSource(text=Plan.of(plan).text),
            mode=_MODES[mode],
            stage=stage,
            per_term_gradients=per_term_gradients,
            losses_only=losses_only,
            gradient_dtype=(
                tensor_pb2.D_TYPE_FLOAT32 if float32_gradients else tensor_pb2.D_TYPE_UNSPECIFIED
            ),
            allow_non_finite=allow_non_finite,
            log_vars=_floats(log_vars),
            task_weights=_floats(task_weights),
        )
        for z, y, x in _voxels(malis_crop_origin):
            header.malis_crop.origins.add(z=z, y=y, x=x)
        if malis_crop_seed is not None:
            header.malis_crop.seed = malis_crop_seed
        others = {"labels": labels, "mask": mask, "label_mask": label_mask, "gt_seg": gt_seg}
        start = time.perf_counter()
        request = Request(
            header,
            {name: outgoing(of, f"predictions[{name}]") for name, of in predictions.items()},
            {name: outgoing(of, name) for name, of in others.items() if of is not None},
        )
        answer = self._call(
            lambda connection, left: exchange(connection, request, self._transport, left), timeout
        )
        return read_result(answer, request.predictions, log_vars, time.perf_counter() - start)

    def info(self, *, timeout: float | None = None) -> service_pb2.GetServerInfoResponse:
        """What the server is: version, devices, threads, limits."""
        request = service_pb2.GetServerInfoRequest()
        return self._call(
            lambda connection, left: connection.stub.GetServerInfo(request, timeout=left), timeout
        )

    def losses(self, *, timeout: float | None = None) -> list[service_pb2.LossInfo]:
        """The losses the server computes, each with its options, in alphabetical order."""
        request = service_pb2.ListLossesRequest()
        response = self._call(
            lambda connection, left: connection.stub.ListLosses(request, timeout=left), timeout
        )
        return list(response.losses)

    def check_plan(self, plan: PlanLike, *, timeout: float | None = None) -> PlanCheck:
        """Everything that is wrong with a plan, or what each of its terms will do."""
        source = plan_pb2.PlanSource(text=Plan.of(plan).text)
        request = service_pb2.ValidatePlanRequest(plan=source)
        response = self._call(
            lambda connection, left: connection.stub.ValidatePlan(request, timeout=left), timeout
        )
        return read_plan_check(response)

    def wait_until_ready(self, timeout: float) -> None:
        """Waits for a server to accept connections.

        Raises:
            UnavailableError: None did within `timeout` seconds.
        """
        request = service_pb2.GetServerInfoRequest()
        try:
            with self._connection.call() as connection:
                connection.stub.GetServerInfo(request, timeout=timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            self._connection.leave()
            raise from_rpc(error) from None

    def _call(
        self,
        attempt: Callable[[Connection, float | None], _Answer],
        timeout: float | None,
    ) -> _Answer:
        deadline = None if timeout is None else time.monotonic() + timeout
        failures = 0
        while True:
            remaining = None if deadline is None else deadline - time.monotonic()
            try:
                with self._connection.call() as connection:
                    return attempt(connection, remaining)
            except grpc.RpcError as rpc_error:
                error = from_rpc(rpc_error)
            pause = _pause(error, failures)
            if isinstance(error, UnavailableError):
                self._connection.leave()
            if pause is None or failures >= self._retries or self._connection.closed:
                raise error
            if deadline is not None and time.monotonic() + pause >= deadline:
                raise error
            time.sleep(pause)
            failures += 1


def _pause(error: Error, failures: int) -> float | None:
    """Seconds to wait before a new attempt; None when one is of no use."""
    backoff = min(_FIRST_PAUSE_SECONDS * 2.0**failures, _LONGEST_PAUSE_SECONDS)
    jittered = backoff * random.uniform(0.5, 1.0)
    # Nobody here cancels: that is a server that stopped before it looked at the call.
    if error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return max(jittered, error.retry_after or 0.0)
    # Without a delay the message itself is too large, and stays so.
    if error.code == grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after is not None:
        return error.retry_after + jittered
    return None


def _voxels(origins: Voxel | Sequence[Voxel] | None) -> list[Voxel]:
    if origins is None:
        return []
    array = np.asarray(origins)
    if array.shape == (0,):
        return []
    if array.ndim not in (1, 2) or array.shape[-1] != 3 or array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"malis_crop_origin: got {origins!r}, expected (z, y, x) or a sequence of such",
            field="malis_crop_origin",
        )
    return [(int(z), int(y), int(x)) for z, y, x in array.reshape(-1, 3)]


def _floats(values: Any) -> list[float]:
    if values is None:
        return []
    values = values.tolist() if hasattr(values, "tolist") else values
    return [float(value) for value in values]

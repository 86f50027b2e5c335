"""What a server answers, as plain Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossd.tensors import Array, Outgoing, is_torch, on_device_of
from lossd.v1 import plan_pb2, service_pb2
from lossd.wire import Answer

Voxel = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Timings:
    """Where the time of a call went, in seconds.

    Attributes:
        queue: Waiting for a worker of the server.
        decode: Reading tensors and plan.
        compute: Computing.
        encode: Writing tensors.
        total: In the server, from the arrival of the whole request to the answer's being ready.
        round_trip: At the client, from handing the request over to having the answer, retries
            included.
    """

    queue: float
    decode: float
    compute: float
    encode: float
    total: float
    round_trip: float


@dataclasses.dataclass(frozen=True)
class TermResult:
    """One term at one scale.

    Attributes:
        name: "term_" and the index in the plan.
        function: Name of the loss.
        scale: 0 is the finest.
        raw: The loss.
        coefficient: The term's coefficient.
        weighted: raw × coefficient.
        balance_weight: The weight that balancing gave it; 1 without balancing.
        malis_crop_origin: First voxel (z, y, x) of the crop; None for a term without one.
        seconds: Time spent on it.
        gradients: d weighted / d prediction for each head it depends on; empty unless asked for.
    """

    name: str
    function: str
    scale: int
    raw: float
    coefficient: float
    weighted: float
    balance_weight: float
    malis_crop_origin: Voxel | None
    seconds: float
    gradients: dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Result:
    """Losses and gradients of a batch.

    Attributes:
        total: The total loss.
        logs: What PyTorch Connectomics logs, under the same keys.
        terms: The terms that applied, in the order scale, then term.
        gradients: d total / d prediction for each head, in the prediction's kind, dtype, shape and
            device; a lone prediction is the head "output". Also "log_vars" where those were given.
            Empty with losses_only.
        timings: Where the time went.
        malis_crop_seed: The seed from which crop origins were drawn; None when none was drawn.
        request_id: Identifies the call in the server's log.
    """

    total: float
    logs: dict[str, float]
    terms: tuple[TermResult, ...]
    gradients: dict[str, Array]
    timings: Timings
    malis_crop_seed: int | None
    request_id: str

    def without_gradients(self) -> Result:
        """The same without the gradients, which are as large as the predictions."""
        terms = tuple(dataclasses.replace(term, gradients={}) for term in self.terms)
        return dataclasses.replace(self, gradients={}, terms=terms)


@dataclasses.dataclass(frozen=True)
class PlanCheck:
    """What a server says of a plan; true when it is a good one.

    Attributes:
        problems: What is wrong, as (field, message).
        explanations: For each term what it does and what it needs, in words; empty when there are
            problems.
        plan: The typed plan with heads and defaults resolved; None when there are problems.
    """

    problems: tuple[tuple[str, str], ...]
    explanations: tuple[str, ...]
    plan: plan_pb2.Plan | None

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        return "\n".join([message for _, message in self.problems] or self.explanations)


def read_result(
    answer: Answer,
    predictions: Mapping[str, Outgoing],
    log_vars: Any,
    round_trip: float,
) -> Result:
    """The answer to a request for these predictions (and log-variances, if not None)."""
    response = answer.message
    gradients = _on_devices(answer.gradients, predictions)
    if log_vars is not None and response.log_vars_gradient:
        gradients["log_vars"] = _log_vars_gradient(list(response.log_vars_gradient), log_vars)
    timings = response.timings
    return Result(
        total=response.total,
        logs={entry.key: entry.value for entry in response.logs},
        terms=tuple(
            _read_term(term, _on_devices(tensors, predictions))
            for term, tensors in zip(response.terms, answer.term_gradients, strict=True)
        ),
        gradients=gradients,
        timings=Timings(
            queue=timings.queue_seconds,
            decode=timings.decode_seconds,
            compute=timings.compute_seconds,
            encode=timings.encode_seconds,
            total=timings.total_seconds,
            round_trip=round_trip,
        ),
        malis_crop_seed=response.malis_crop_seed if response.HasField("malis_crop_seed") else None,
        request_id=response.request_id,
    )


def read_plan_check(response: service_pb2.ValidatePlanResponse) -> PlanCheck:
    """The answer to a plan's check."""
    return PlanCheck(
        problems=tuple((problem.field, problem.message) for problem in response.problems),
        explanations=tuple(response.explanations),
        plan=response.plan if response.HasField("plan") else None,
    )


def _on_devices(
    gradients: Mapping[str, Array], predictions: Mapping[str, Outgoing]
) -> dict[str, Array]:
    return {name: on_device_of(of, predictions[name].array) for name, of in gradients.items()}


def _read_term(term: service_pb2.TermResult, gradients: dict[str, Array]) -> TermResult:
    origin = term.malis_crop_origin
    return TermResult(
        name=term.name,
        function=term.function,
        scale=term.scale,
        raw=term.raw,
        coefficient=term.coefficient,
        weighted=term.weighted,
        balance_weight=term.balance_weight,
        malis_crop_origin=(
            (origin.z, origin.y, origin.x) if term.HasField("malis_crop_origin") else None
        ),
        seconds=term.seconds,
        gradients=gradients,
    )


def _log_vars_gradient(values: list[float], like: Any) -> Array:
    if is_torch(like):
        return like.new_tensor(values)
    dtype = like.dtype if isinstance(like, np.ndarray) else np.float64
    return np.asarray(values, dtype=dtype)

"""Trainers of all kinds at once, each of whose answers is compared.

Large and small batches, by all transports; some calls are malformed, some cancelled, and of some
the trainer's process is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from typing import Any

import grpc
import numpy as np

import lossd
from lossd.transport import Transport

TRANSPORTS: tuple[Transport, ...] = ("unary", "stream", "shm")
BCE_AND_MALIS: list[dict[str, Any]] = [
    {"function": "PerChannelBCEWithLogitsLoss"},
    {"function": "MalisLoss", "kwargs": {"reduction": "sum"}},
]
# What calls are of, over and over: sides of cubes, and what is computed of them.
SIDES = [16] * 40 + [32] * 20 + [64] * 5 + [128]
PLANS: list[list[dict[str, Any]]] = [
    BCE_AND_MALIS,
    [{"function": "DiceLoss", "kwargs": {"sigmoid": True}}],
    BCE_AND_MALIS[:1],
]
MALFORMED, CANCELLED, KILLED = 0.05, 0.05, 0.05
# Requests, by themselves and as a stream's header, whose id is no UTF-8.
NO_TEXT = (b"\n\x02\xff\xfe", b"\n\x04\n\x02\xff\xfe")


@dataclasses.dataclass(frozen=True)
class Case:
    """A batch, and what is computed of it."""

    side: int
    plan: int

    @staticmethod
    def all(sides: Iterable[int] = SIDES) -> list[Case]:
        """One after the other, as often as each comes."""
        return [Case(side, plan) for side, plan in itertools.product(sides, range(len(PLANS)))]

    def compute(self, client: lossd.Client, timeout: float | None = 600.0) -> lossd.Result:
        """Its losses, from a server."""
        return self.submit(client, timeout).result()

    def submit(
        self, client: lossd.Client, timeout: float | None = 600.0
    ) -> lossd.Pending[lossd.Result]:
        """The same, in the background."""
        shape = (1, 3, self.side, self.side, self.side)
        drawn = np.random.default_rng(self.side)
        logits = drawn.standard_normal(shape, np.float32)
        segmentation = drawn.integers(0, 5, (1, *shape[2:]), np.int32)
        labels = (drawn.random(shape, np.float32) < 0.5).astype(np.float32)
        return client.submit(PLANS[self.plan], logits, labels, gt_seg=segmentation, timeout=timeout)

    @property
    def cost(self) -> int:
        """In voxels."""
        return int(self.side**3)


def fingerprint(result: lossd.Result) -> list[float]:
    """Numbers that tell an answer from any other."""
    gradient = np.asarray(result.gradients["output"]).ravel()
    weights = np.arange(1, gradient.size + 1, dtype=np.float64) / gradient.size
    return [result.total, float(gradient @ weights)]


def expected(address: str, cases: Iterable[Case]) -> dict[Case, list[float]]:
    """What an idle server answers."""
    with lossd.Client(address) as client:
        return {case: fingerprint(case.compute(client)) for case in set(cases)}


class Load:
    """Such trainers, each a process that is started again when it has been killed.

    Args:
        address: The server.
        trainers: How many, each a client of its own name.
        cases: What they compute, each all of them, over and over in an order of its own.
    """

    def __init__(self, address: str, trainers: int, cases: list[Case]) -> None:
        self._right = expected(address, cases)
        self._address = address
        self._cases = cases
        self._folder = tempfile.TemporaryDirectory(prefix="lossd-load-")
        self._reports = [pathlib.Path(self._folder.name) / str(t) for t in range(trainers)]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mixed_load"])
        self._over = self._context.Event()
        self._keepers = [threading.Thread(target=self._keep, args=(t,)) for t in range(trainers)]

    def __enter__(self) -> Load:
        for keeper in self._keepers:
            keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for keeper in self._keepers:
            keeper.join(120)
            assert not keeper.is_alive(), "a trainer goes on"
        self.reports = [Report.read(path) for path in self._reports]
        self._folder.cleanup()

    def _keep(self, trainer: int) -> None:
        for life in itertools.count():
            if self._over.is_set():
                return
            process: BaseProcess = self._context.Process(
                target=_train,
                args=(self._address, trainer, life, self._cases, self._right),
                kwargs={"report": self._reports[trainer], "over": self._over},
            )
            process.start()
            process.join()


class Report:
    """What has become of a trainer's calls.

    Attributes:
        ended: How often each thing happened: "right", "refused", "cancelled", "killed", or whatever
            should not.
        cost: Of the right ones.
    """

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.cost = 0

    @staticmethod
    def read(path: pathlib.Path) -> Report:
        """From a trainer's file."""
        report = Report()
        for line in path.read_text().splitlines() if path.exists() else []:
            what, cost = json.loads(line)
            report.ended[what] += 1
            report.cost += cost if what == "right" else 0
        return report


def fairness(shares: list[int]) -> float:
    """Jain's index: 1 where all have the same, 1 / n where one has all."""
    return float(sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)))


def _train(
    address: str,
    trainer: int,
    life: int,
    cases: list[Case],
    right: dict[Case, list[float]],
    *,
    report: pathlib.Path,
    over: Any,
) -> None:
    drawn = random.Random(f"{trainer} {life}")
    order = drawn.sample(cases, len(cases))

    def note(what: str, cost: int = 0) -> None:
        with report.open("a") as file:
            file.write(json.dumps([what, cost]) + "\n")

    with lossd.Client(
        address, client=f"trainer-{trainer}", transport=TRANSPORTS[trainer % len(TRANSPORTS)]
    ) as client:
        for case in itertools.cycle(order):
            if over.is_set():
                return
            fate = drawn.random()
            try:
                if fate < MALFORMED:
                    note(_malformed(address, client, drawn))
                elif fate < MALFORMED + CANCELLED:
                    note(_cancelled(client, case, drawn))
                elif fate < MALFORMED + CANCELLED + KILLED:
                    call = case.submit(client)
                    time.sleep(drawn.random() * 0.2)
                    note("killed")
                    os.kill(os.getpid(), signal.SIGKILL)
                    call.result()
                else:
                    same = fingerprint(case.compute(client)) == right[case]
                    note("right" if same else f"wrong: {case}", case.cost)
            except BaseException as error:
                note(f"{type(error).__name__}: {error}")


def _cancelled(client: lossd.Client, case: Case, drawn: random.Random) -> str:
    call = case.submit(client)
    time.sleep(drawn.random() * 0.1)
    call.cancel()
    with contextlib.suppress(lossd.CancelledError):
        call.result()
    return "cancelled"


def _malformed(address: str, client: lossd.Client, drawn: random.Random) -> str:
    """Sends what is no request, or a wrong one."""
    kind = drawn.randrange(4)
    batch = np.zeros((1, 3, 4, 4, 4), np.float32)
    try:
        if kind == 0:
            client.compute([{"function": "Nonesuch"}], batch, batch)
        elif kind == 1:
            client.compute(BCE_AND_MALIS, batch, np.zeros((2, 3, 4, 4, 4), np.float32))
        elif kind == 2:
            client.compute(BCE_AND_MALIS, np.full_like(batch, np.nan), batch)
        else:
            return _garbage(address, drawn)
    except lossd.InvalidArgumentError:
        return "refused"
    return "taken, though malformed"


def _garbage(address: str, drawn: random.Random) -> str:
    method = drawn.choice(["Compute", "ComputeStream"])
    with grpc.insecure_channel(address) as channel:
        send: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            f"/lossd.v1.LossService/{method}"
        )
        message = drawn.choice([*NO_TEXT, drawn.randbytes(drawn.randrange(1, 2000))])
        call = send(iter([message]), timeout=60)
        with contextlib.suppress(grpc.RpcError):
            list(call)
        code = call.code()
    return "refused" if code is grpc.StatusCode.INVALID_ARGUMENT else f"garbage: {code}"

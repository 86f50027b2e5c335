"""The client of a lossd server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from lossd import pending
from lossd.access import Access, Token
from lossd.calls import Attempt, Call, await_server
from lossd.cancellation import Cancellation
from lossd.channel import Connection, LazyConnection
from lossd.errors import DeadlineExceededError, UnavailableError
from lossd.packing import Compression, check_compression
from lossd.pending import Pending
from lossd.plan import Plan, PlanLike
from lossd.requests import ComputeOptions, make_request
from lossd.results import PlanCheck, Result, read_plan_check, read_result
from lossd.seconds import DEFAULT_TIMEOUT, read_seconds
from lossd.target import Address, address_in_words, check_address
from lossd.tensors import Array
from lossd.tls import Tls
from lossd.tracing import current_traceparent
from lossd.transport import (
    Transport,
    check_transport,
    exchange_at_once,
    exchange_for,
    exchange_unary,
    is_small,
)
from lossd.v1 import plan_pb2, service_pb2
from lossd.wire import Answer, Request

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class Client:
    """A connection to a lossd server, closed by `close` or at the end of a `with` block.

    Nothing is connected before the first call. Thread-safe; a forked process that uses its parent's
    client gets a connection of its own. A call that finds the server unavailable or its queue full
    is repeated: computing is pure, so nothing happens twice.

    Args:
        address: "host:port", or anything gRPC takes as a target. Several servers, as a list or with
            commas in between, take turns, and those that are down are left out; so do those behind
            a name as "dns:///name:port". By default what the environment variable LOSSD_ADDRESS
            says at the first call. Without it, a LocalServer that all such clients of the process
            share, where the package brings the server, or else "localhost:50051".
        retry_seconds: How long a call goes on trying after its first failure, for example while a
            server restarts; None tries until the call's timeout, as every call does while a server
            is only busy; 0 raises any error at once.
        transport: "auto" has batches from 4 MiB on in memory that it shares with a server of its
            host, or else streams them, and sends smaller ones in one message; "shm", "stream" and
            "unary" do the one or the other, for tests and measurements.
        compression: "lz4" has labels, masks and segmentations compressed on top of their shortest
            encoding, at some 2 GB/s: worth it over a network of less than 10 Gbit/s. Needs the
            package `lz4`.
        channel_options: Options of gRPC's channel, by name, instead of what the client chooses.
        tls: A Tls says how the connection is encrypted and both sides make sure of each other; True
            is TLS with the authorities that gRPC brings along, False none. By default what the
            environment variables LOSSD_TLS, LOSSD_TLS_CA, LOSSD_TLS_CERT, LOSSD_TLS_KEY and
            LOSSD_TLS_SERVER_NAME say, or else none.
        token: The bearer token that lets the client in; or, to be asked at each call, the path of a
            file that holds it (an os.PathLike) or a function that returns it. By default the
            file that LOSSD_TOKEN_FILE names, or what LOSSD_TOKEN says. Without TLS it can be read
            on its way.
        client: What the client calls itself, for the server's log and its fairness where it has no
            token and no certificate; its host and process by default.
    """

    def __init__(
        self,
        address: Address | None = None,
        *,
        retry_seconds: float | None = 60.0,
        transport: Transport = "auto",
        compression: Compression | None = None,
        channel_options: Mapping[str, Any] | None = None,
        tls: Tls | bool | None = None,
        token: Token | None = None,
        client: str | None = None,
    ) -> None:
        check_transport(transport)
        check_compression(compression)
        self._address = check_address(address)
        self._retry_seconds = read_seconds(retry_seconds, "retry_seconds")
        self._transport: Transport = transport
        self._compression: Compression | None = compression
        self._channel_options = dict(channel_options or {})
        self._access = Access(tls, token, client)
        # Short calls wait inside gRPC, which is quicker; a fork waits for them.
        self._short, self._long = (
            LazyConnection(
                self._address, self._channel_options, self._access, interruptible=interruptible
            )
            for interruptible in (True, False)
        )
        self._make = functools.partial(make_request, compressed=compression is not None)

    @property
    def address(self) -> str:
        """Where the server is; where they are, with commas in between."""
        return address_in_words(self._address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Client], tuple[Address | None]]:
        """A copy connects anew: models that hold a client are copied and sent to processes."""
        make = functools.partial(
            Client,
            retry_seconds=self._retry_seconds,
            transport=self._transport,
            compression=self._compression,
            channel_options=self._channel_options,
            tls=self._access.tls,
            token=self._access.token,
            client=self._access.name,
        )
        return make, (self._address,)

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._short.close()
        self._long.close()

    def compute(
        self,
        plan: PlanLike,
        outputs: Array | Mapping[str, Array],
        labels: Array | None = None,
        mask: Array | None = None,
        label_mask: Array | None = None,
        gt_seg: Array | None = None,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        **options: Unpack[ComputeOptions],
    ) -> Result:
        """Computes a plan's losses on a batch, and d total / d prediction for each prediction.

        Arrays are NumPy's or PyTorch's, on any device; what comes back is of the same kind, device
        and, unless asked otherwise, dtype as the prediction it belongs to.

        Args:
            plan: A Plan, a mapping, a list of terms, YAML or JSON as a text, or the path of a
                file with such.
            outputs: The prediction [B, C, Z, Y, X] or [B, C, Y, X], or named heads; float32,
                float16 or bfloat16. With deep supervision: "output" and the coarser "ds_1" …
                "ds_4", or named heads "aff" and "ds_1/aff".
            labels: [B, L, …], any dtype. Needed unless no term needs them, or `labels_from_gt_seg`
                is given.
            mask: Where the batch counts, [B or 1, 1 or C, …].
            label_mask: Which labels are known, of labels' shape; bool or uint8.
            gt_seg: Instance labels [B, Z, Y, X] or [B, 1, Z, Y, X] for MALIS; any integer dtype, 0
                is background.
            timeout: Seconds until DeadlineExceededError, repeated attempts included; 10 minutes
                unless given. None waits.
            options: See ComputeOptions.

        Raises:
            InvalidArgumentError: Something in plan or batch is wrong; its `field` says what.
            Error: Any other failure, by its code.
        """
        request = self._make(plan, outputs, labels, mask, label_mask, gt_seg, **options)
        call = self._compute(request, timeout, at_once=True)
        return _result(call, call.run(), request, options)

    def submit(
        self,
        plan: PlanLike,
        outputs: Array | Mapping[str, Array],
        labels: Array | None = None,
        mask: Array | None = None,
        label_mask: Array | None = None,
        gt_seg: Array | None = None,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        **options: Unpack[ComputeOptions],
    ) -> Pending[Result]:
        """The same as `compute` without waiting for it; several calls may be under way.

        The arrays are sent from where they are: they must not be changed before the call is done.
        A change in place of a PyTorch tensor that is noticed is an error of the call.

        Raises:
            InvalidArgumentError: Something in the batch cannot be sent. All other errors are the
                result's.
        """
        request = self._make(plan, outputs, labels, mask, label_mask, gt_seg, **options)
        call = self._compute(request, timeout)
        return pending.submit(call, lambda answer: _result(call, answer, request, options))

    def info(self, *, timeout: float | None = DEFAULT_TIMEOUT) -> service_pb2.GetServerInfoResponse:
        """What the server is: version, devices, threads, limits."""
        request = service_pb2.GetServerInfoRequest()
        return self._ask(lambda connection: connection.stub.GetServerInfo, request, timeout)

    def losses(self, *, timeout: float | None = DEFAULT_TIMEOUT) -> list[service_pb2.LossInfo]:
        """The losses the server computes, each with its options, in alphabetical order."""
        request = service_pb2.ListLossesRequest()
        answer = self._ask(lambda connection: connection.stub.ListLosses, request, timeout)
        return list(answer.losses)

    def check_plan(self, plan: PlanLike, *, timeout: float | None = DEFAULT_TIMEOUT) -> PlanCheck:
        """Everything that is wrong with a plan, or what each of its terms will do."""
        source = plan_pb2.PlanSource(text=Plan.of(plan).text)
        request = service_pb2.ValidatePlanRequest(plan=source)
        answer = self._ask(lambda connection: connection.stub.ValidatePlan, request, timeout)
        return read_plan_check(answer)

    def wait_until_ready(self, timeout: float | None) -> None:
        """Waits for a server to accept connections.

        Raises:
            UnavailableError: None did within `timeout` seconds.
            Error: The client is closed, or what answers is no lossd.
        """
        seconds = read_seconds(timeout, "timeout")
        try:
            Call(self._short, self._short, await_server, seconds, None).run()
        except DeadlineExceededError as error:
            raise UnavailableError(
                f"no server at {self.address} within {timeout} s: {error}"
            ) from None

    def _compute(
        self, request: Request, timeout: float | None, *, at_once: bool = False
    ) -> Call[Answer]:
        """A call that a fork leaves alone, and that may be given up.

        With `at_once` a small one is not, and is a little quicker.
        """
        exchange, connection = exchange_for(request, self._transport), self._long
        if at_once and exchange is exchange_unary and is_small(request):
            exchange, connection = exchange_at_once, self._short
        return self._call(connection, functools.partial(exchange, request), timeout)

    def _ask(
        self,
        method: Callable[[Connection], grpc.UnaryUnaryMultiCallable[_Question, _Answer]],
        question: _Question,
        timeout: float | None,
    ) -> _Answer:
        def attempt(connection: Connection, left: float | None, _: Cancellation) -> _Answer:
            metadata = connection.introduction.metadata(current_traceparent())
            return method(connection)(question, timeout=left, metadata=metadata)

        return self._call(self._short, attempt, timeout).run()

    def _call(
        self, connection: LazyConnection, attempt: Attempt[_Answer], timeout: float | None
    ) -> Call[_Answer]:
        seconds = read_seconds(timeout, "timeout")
        return Call(connection, self._short, attempt, seconds, self._retry_seconds)


def _result(
    call: Call[Answer], answer: Answer, request: Request, options: ComputeOptions
) -> Result:
    return read_result(answer, request.predictions, options.get("log_vars"), call.seconds)

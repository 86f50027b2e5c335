"""A stub of the service, which fails as it is told to; in this process, or in one of its own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from segment_stub import Destination, SegmentStub, UnknownSegmentError

from lossd.v1 import plan_pb2, service_pb2, service_pb2_grpc, tensor_pb2

_CHUNK_BYTES = 2**18
TENSOR = tensor_pb2.Tensor.DESCRIPTOR


class StubService(service_pb2_grpc.LossServiceServicer):
    """Gives the failures it is told to, then each request's predictions as their gradients.

    Attributes:
        requests: Those that came, streamed ones as they would have come in one message.
        streamed: How many of them were streamed.
        shared: How many of them had their tensors in shared memory.
        memory: Where that is; None for none.
        spoil: What is done to an answer before it is sent.
        failures: What goes wrong with the next ones.

    Args:
        seconds: What a computation takes.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.requests: list[service_pb2.ComputeRequest] = []
        self.streamed = 0
        self.shared = 0
        self.memory: SegmentStub | None = SegmentStub()
        self.spoil: Callable[[service_pb2.ComputeResponse], Any] = lambda _: None
        self.failures: list[Callable[[grpc.ServicerContext], None]] = []

    def GetServerInfo(self, *_: Any) -> service_pb2.GetServerInfoResponse:  # noqa: N802
        if self.memory is None:
            return service_pb2.GetServerInfoResponse()
        return service_pb2.GetServerInfoResponse(
            instance=self.memory.instance, shared_memory_socket=self.memory.name
        )

    def ListLosses(self, *_: Any) -> service_pb2.ListLossesResponse:  # noqa: N802
        return service_pb2.ListLossesResponse()

    def ValidatePlan(self, *_: Any) -> service_pb2.ValidatePlanResponse:  # noqa: N802
        # The two terms that it answers with, whatever it is asked for.
        terms = [plan_pb2.Term(), plan_pb2.Term()]
        return service_pb2.ValidatePlanResponse(plan=plan_pb2.Plan(losses=terms))

    def Compute(  # noqa: N802
        self, request: service_pb2.ComputeRequest, context: grpc.ServicerContext
    ) -> service_pb2.ComputeResponse:
        into = self._fetch(request, context)
        self.requests.append(request)
        if self.failures:
            self.failures.pop(0)(context)
        time.sleep(self._seconds)
        response = service_pb2.ComputeResponse(
            request_id=request.request_id, total=1.5, gradients=request.predictions
        )
        response.logs.add(key="train_loss_total", value=1.5)
        response.log_vars_gradient.extend(request.log_vars)
        if request.per_term_gradients:
            for index in range(2):
                response.terms.add(name=f"term_{index}", gradients=request.predictions)
        if self.memory is not None and into is not None:
            self.memory.put(response, into)
        self.spoil(response)
        return response

    def _fetch(
        self, request: service_pb2.ComputeRequest, context: grpc.ServicerContext
    ) -> Destination | None:
        self.shared += any(of.HasField("shared") for of in request_tensors(request))
        try:
            return None if self.memory is None else self.memory.fetch(request)
        except UnknownSegmentError:
            unknown = error_details_pb2.ErrorInfo(reason="UNKNOWN_SEGMENT", domain="lossd")
            fail(grpc.StatusCode.FAILED_PRECONDITION, "no such segment", unknown)(context)
            raise

    def ComputeStream(  # noqa: N802
        self,
        request_iterator: Iterator[service_pb2.ComputeStreamRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[service_pb2.ComputeStreamResponse]:
        self.streamed += 1
        request = next(request_iterator).header
        data = [b""] * len(request_tensors(request))
        for chunk in request_iterator:
            assert chunk.offset == len(data[chunk.tensor])
            data[chunk.tensor] += chunk.data
        for tensor, elements in zip(request_tensors(request), data, strict=True):
            tensor.data = elements
        yield from answer_messages(self.Compute(request, context))


def request_tensors(request: service_pb2.ComputeRequest) -> list[tensor_pb2.Tensor]:
    """In the order in which they are streamed."""
    others = [of for field, of in request.ListFields() if field.message_type is TENSOR]
    return [*(named.tensor for named in request.predictions), *others]


def answer_messages(
    answer: service_pb2.ComputeResponse,
) -> Iterator[service_pb2.ComputeStreamResponse]:
    """An answer as it is streamed."""
    named = [tensor for term in answer.terms for tensor in term.gradients]
    tensors = [of.tensor for of in (*named, *answer.gradients)]
    data = [tensor.data for tensor in tensors]
    for tensor in tensors:
        tensor.ClearField("data")
    yield service_pb2.ComputeStreamResponse(header=answer)
    for index, elements in enumerate(data):
        for offset in range(0, len(elements), _CHUNK_BYTES):
            chunk = elements[offset : offset + _CHUNK_BYTES]
            yield service_pb2.ComputeStreamResponse(tensor=index, offset=offset, data=chunk)


@contextlib.contextmanager
def serving(
    service: service_pb2_grpc.LossServiceServicer, address: str = "127.0.0.1:0"
) -> Iterator[str]:
    """Serves it, and gives the address."""
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(8),
        options=[*unlimited, ("grpc.so_reuseport", 0)],
    )
    service_pb2_grpc.add_LossServiceServicer_to_server(service, server)
    port = server.add_insecure_port(address)
    memory = service.memory if isinstance(service, StubService) else None
    with memory.listening() if memory is not None else contextlib.nullcontext():
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@contextlib.contextmanager
def serving_elsewhere(seconds: float) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serves a stub in a process of its own; gives the address and the process."""
    command = [sys.executable, __file__, str(seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip(), process
        finally:
            process.kill()


def fail(code: grpc.StatusCode, message: str, *details: Any) -> Callable[..., None]:
    """A failure with google.rpc details, as a server gives it."""
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)

    def abort(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, message)

    return abort


if __name__ == "__main__":
    with serving(StubService(float(sys.argv[1]))) as own_address:
        print(own_address, flush=True)
        threading.Event().wait()  # Until it is killed.

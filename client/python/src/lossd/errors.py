"""What can go wrong with a call: an exception class for each canonical gRPC code."""

from typing import TypedDict

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


class Error(Exception):
    """A call that failed.

    Attributes:
        code: The canonical code.
        message: What is wrong. For bad input: the field, what was given and what is expected.
        field: The field at fault, for example "losses[1].kwargs.sigmoid"; None when there is no one
            field.
        retry_after: Seconds after which the server says a new attempt makes sense; None when it
            says nothing.
        reason: What tells this error from others of its code, for example "NOT_FINITE"; None when
            no server said.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: grpc.StatusCode | None = None,
        retry_after: float | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.reason = reason
        if code is not None:
            self.code = code


class InvalidArgumentError(Error, ValueError):
    """Something in the plan or the batch is wrong; `field` says what."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class UnauthenticatedError(Error, PermissionError):
    """The server asks for a token, and got none, or none of its own."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhaustedError(Error):
    """The server's queue is full, or the message is larger than the server takes."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnavailableError(Error, ConnectionError):
    """No server at the address, or it is going down."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceededError(Error, TimeoutError):
    """The timeout passed before the answer came."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class CancelledError(Error):
    """The call was cancelled, for example because the client was closed."""

    code = grpc.StatusCode.CANCELLED


class UnimplementedError(Error, NotImplementedError):
    """The server does not know this call: it is older than the client, or no lossd."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(Error):
    """The server failed."""

    code = grpc.StatusCode.INTERNAL


_CLASSES: dict[grpc.StatusCode, type[Error]] = {
    cls.code: cls
    for cls in (
        InvalidArgumentError,
        UnauthenticatedError,
        ResourceExhaustedError,
        UnavailableError,
        DeadlineExceededError,
        CancelledError,
        UnimplementedError,
        InternalError,
    )
}


# Those of failures, by number.
_CODES: dict[int, grpc.StatusCode] = {
    code.value[0]: code for code in grpc.StatusCode if code != grpc.StatusCode.OK
}


class _Details(TypedDict, total=False):
    field: str
    retry_after: float
    reason: str


def from_rpc(error: grpc.RpcError, proxy: str | None = None) -> Error:
    """The exception for what grpc raised, with what its google.rpc details say.

    Args:
        error: What it raised.
        proxy: The proxy that the call went through, to be named where no server was reached.
    """
    if not isinstance(error, grpc.Call):
        return Error(str(error))
    code, message = error.code(), error.details() or ""
    status = _status(error)
    # A balancer that cuts an upload off may make its own of an answer's code, not of its details.
    if status.code in _CODES and status.code != code.value[0]:
        code, message = _CODES[status.code], status.message
    if proxy is not None and code == grpc.StatusCode.UNAVAILABLE:
        message += f" (through the proxy {proxy} of the environment)"
    cls = _CLASSES.get(code, Error)
    return cls(message, code=code, **_read_details(status))


def _status(call: grpc.Call) -> status_pb2.Status:
    """What the server itself said; OK when nothing."""
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()


def _read_details(status: status_pb2.Status) -> _Details:
    details = _Details()
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        retry_info = error_details_pb2.RetryInfo()
        error_info = error_details_pb2.ErrorInfo()
        if detail.Unpack(bad_request) and bad_request.field_violations:
            details["field"] = bad_request.field_violations[0].field
        elif detail.Unpack(retry_info):
            details["retry_after"] = retry_info.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(error_info):
            details["reason"] = error_info.reason
    return details

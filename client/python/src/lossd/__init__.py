"""Client of lossd, the loss-computation service.

    with lossd.Client() as client:
        result = client.compute(plan, outputs, labels)
    result.total, result.logs, result.gradients["output"]

`lossd.torch` has modules that carry the served gradient into autograd, `lossd.pytc` the drop-in for
PyTorch Connectomics.
"""

import os

# Read when gRPC is imported: without it, a forked process cannot use gRPC if its parent has.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")

from lossd.client import Client
from lossd.errors import (
    CancelledError,
    DeadlineExceededError,
    Error,
    InternalError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from lossd.local_server import LocalServer
from lossd.pending import Pending
from lossd.plan import Plan
from lossd.requests import ComputeOptions
from lossd.results import PlanCheck, Result, TermResult, Timings
from lossd.tls import Tls
from lossd.version import __version__

__all__ = [
    "CancelledError",
    "Client",
    "ComputeOptions",
    "DeadlineExceededError",
    "Error",
    "InternalError",
    "InvalidArgumentError",
    "LocalServer",
    "Pending",
    "Plan",
    "PlanCheck",
    "ResourceExhaustedError",
    "Result",
    "TermResult",
    "Timings",
    "Tls",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "__version__",
]

"""Forks a process in which another library has a channel; a program, so that lossd comes first."""

from __future__ import annotations

import lossd  # isort: skip

import os
import sys

import grpc
import numpy as np

BATCH = np.ones((1, 1, 4, 4, 4), np.float32)
PLAN = [{"function": "WeightedMSELoss"}]


def child_computes(client: lossd.Client) -> None:
    """Exits with the child's status where that is not 0."""
    child = os.fork()
    if child == 0:
        client.compute(PLAN, BATCH, BATCH)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        sys.exit(status)


if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[1]) as foreign, lossd.Client(sys.argv[1]) as own:
        own.info()
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        ask = foreign.unary_unary("/lossd.v1.LossService/GetServerInfo")
        ask(b"")
        lossd.channel._CLOSING_SECONDS = lossd.channel._ENDING_SECONDS = 600.0
        child_computes(own)
        for _ in range(3):
            pending = own.submit(PLAN, BATCH, BATCH)
            child_computes(own)
            pending.result()

"""What a call of the Python SDK takes beyond the server's computing.

    scripts/bench.sh build/release python_sdk_bench

Predictions travel to the server and gradients back over loopback, by each transport; in turns with
a stream of bytes through bare grpcio to a server that only moves them, and with copies of the same
bytes there and back. Then a tiny call, in turns with an empty one through bare grpcio.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import Any, cast

import grpc
import numpy as np
import numpy.typing as npt
from local_server import LocalServer
from measure import (
    CHEAPEST_PLAN,
    medians_in_turns,
    parse_arguments,
    print_figure,
    seconds,
)

import lossd
from lossd.transport import Transport

Floats = npt.NDArray[np.float32]

ROUNDS = 11
TINY_ROUNDS = 2000
# Of a few voxels another plan is cheaper, its labels included.
TINY_PLAN = lossd.Plan.of([{"function": "L1Loss"}])
# As the SDK's chunks.
MESSAGE_BYTES = 2**20


def beyond_computing(client: lossd.Client, outputs: Floats) -> float:
    """Seconds of a call, without those for which the server computes."""
    result: lossd.Result | None = None

    def call() -> None:
        nonlocal result
        result = client.compute(CHEAPEST_PLAN, outputs)

    elapsed = seconds(call)
    assert result is not None
    return elapsed - result.timings.compute


def bare_stream(channel: grpc.Channel, outputs: Floats) -> Callable[[], float]:
    """Sends these bytes, which are messages already, and drops what comes back."""
    data = outputs.tobytes()
    messages = [data[i : i + MESSAGE_BYTES] for i in range(0, len(data), MESSAGE_BYTES)]
    exchange: Any = channel.stream_stream("/Bytes/Exchange")

    def body() -> None:
        received = sum(len(message) for message in exchange(iter(messages)))
        assert received == len(data)

    return functools.partial(seconds, body)


def copies(outputs: Floats) -> Callable[[], float]:
    """Copies there and back, into memory that is kept."""
    there, back = np.empty_like(outputs), np.empty_like(outputs)

    def body() -> None:
        np.copyto(there, outputs)
        np.copyto(back, there)

    return functools.partial(seconds, body)


def measure_transports(address: str, build: pathlib.Path) -> None:
    """Prints a table, and the figures of 100 MB."""
    words = ["unary", "stream", "shm"]
    clients = [lossd.Client(address, transport=cast(Transport, word)) for word in words]
    print(
        "| Python SDK by | MB each way | ms beyond computing | bare grpcio ms | copies ms | "
        "of grpcio's throughput | times copies |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    ratios = {}
    for samples in (2, 4):
        outputs = np.random.default_rng(0).standard_normal((samples, 3, 128, 128, 128), np.float32)
        megabytes = outputs.nbytes / 1e6
        with LocalServer(build / "bench/byte_server") as byte_server:
            channel = grpc.insecure_channel(byte_server.address)
            bare, copied, *of_sdk = medians_in_turns(
                ROUNDS,
                bare_stream(channel, outputs),
                copies(outputs),
                *(functools.partial(beyond_computing, client, outputs) for client in clients),
            )
            channel.close()
        for word, taken in zip(words, of_sdk, strict=True):
            ratios[word] = bare / taken, taken / copied
            print(
                f"| {word} | {megabytes:.1f} | {1e3 * taken:.1f} | {1e3 * bare:.1f} | "
                f"{1e3 * copied:.1f} | {bare / taken:.2f} | {taken / copied:.2f} |",
                flush=True,
            )
    what = f"{megabytes:.1f} MB each way"
    of_bare = f"of a bare grpcio stream's throughput: Python SDK by stream, {what}"
    print_figure(2, ratios["stream"][0], "at least", 0.9, of_bare)
    if "shm" in ratios:
        of_copies = f"times copies there and back: Python SDK by shm, {what}"
        print_figure(3, ratios["shm"][1], "at most", 2.2, of_copies)
    for client in clients:
        client.close()


def measure_tiny_call(address: str) -> None:
    """Prints the medians of a tiny call and of an empty one, and the figure."""
    outputs = np.random.default_rng(0).standard_normal((1, 3, 8, 8, 8), np.float32)
    labels = np.zeros_like(outputs)
    with lossd.Client(address) as client, grpc.insecure_channel(address) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/lossd.v1.LossService/GetServerInfo"
        )
        tiny, empty = medians_in_turns(
            TINY_ROUNDS,
            functools.partial(seconds, lambda: client.compute(TINY_PLAN, outputs, labels)),
            functools.partial(seconds, lambda: ask(b"")),
        )
    print(
        f"\n| Python SDK, p50 of | µs |\n| --- | --- |\n| a call with 8³ | {1e6 * tiny:.0f} |\n"
        f"| an empty call of grpcio | {1e6 * empty:.0f} |"
    )
    what = "times an empty call of grpcio: Python SDK, a call with 8³, p50"
    print_figure(7, tiny / empty, "at most", 1.5, what)


def main() -> None:
    """Measures large batches, then tiny ones."""
    build = parse_arguments("What a call of the Python SDK takes beyond computing.").build
    with LocalServer(build / "server/lossd", "--log_level=error") as server:
        measure_transports(server.address, build)
        measure_tiny_call(server.address)


if __name__ == "__main__":
    main()

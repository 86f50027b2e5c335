"""What it costs to move a batch to the server and its gradients back, beyond computing.

    .venv/bin/python bench/transport_bench.py [--build build/release] [--size 128]

The C++ SDK sends batches of 2 with 3 affinities in float32 over loopback, in one message each way
and as a stream, with the cheapest loss there is.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "demo"))

from local_server import LocalServer  # noqa: E402

PLAN = "[{function: WeightedMSELoss}]"


def figure(text: str, name: str) -> float:
    """The number that follows the name."""
    found = re.search(rf"{name} ([\d.]+)", text)
    assert found is not None, text
    return float(found[1])


def milliseconds(lossctl: list[str], transport: str) -> float:
    """The median latency of some requests, without the server's time for computing."""
    command = [*lossctl, f"--transport={transport}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return figure(text, "p50") - figure(text, "mean compute")


def main() -> None:
    """Measures both ways, after some requests that warm up."""
    parser = argparse.ArgumentParser(description="What it costs to move a batch.")
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--size", default=128, type=int)
    parser.add_argument("--requests", default=15, type=int)
    flags = parser.parse_args()

    with LocalServer(flags.build / "server/lossd") as server, tempfile.NamedTemporaryFile() as plan:
        plan.write(PLAN.encode())
        plan.flush()
        lossctl = [str(flags.build / "client/cpp/lossctl"), f"--server={server.address}", "bench"]
        lossctl += [f"--plan={plan.name}", f"--size={flags.size}", f"--requests={flags.requests}"]
        for transport in ("unary", "stream"):
            milliseconds(lossctl, transport)
        unary, stream = milliseconds(lossctl, "unary"), milliseconds(lossctl, "stream")
    ratio = stream / unary
    print(f"beyond computing: unary {unary:.0f} ms, stream {stream:.0f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()

"""What a training step's losses cost from Python: PerChannelBCE and MALIS over the full volume.

    .venv/bin/python bench/step_bench.py [--server build/release/server/lossd] [--size 128]

Batch 2, 3 affinities in float32, a mask and a segmentation in float32, as trainers have them;
trainer and server share this machine. Prints the time of a step and its ratio to the time for which
the server computes.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "demo"))

from local_server import LocalServer  # noqa: E402
from neurites import affinities  # noqa: E402

import lossd  # noqa: E402
import lossd.pytc  # noqa: E402

CFG = {
    "model": {
        "loss": {"losses": [{"function": "PerChannelBCEWithLogitsLoss"}, {"function": "MalisLoss"}]}
    }
}


def main() -> None:
    """Measures some steps, after one that warms up."""
    parser = argparse.ArgumentParser(description="What the losses of a training step cost.")
    parser.add_argument("--server", default=ROOT / "build/release/server/lossd", type=pathlib.Path)
    parser.add_argument("--size", default=128, type=int)
    parser.add_argument("--steps", default=7, type=int)
    flags = parser.parse_args()

    torch.manual_seed(0)
    cells = torch.randint(1, 200, (2, *[flags.size // 16] * 3))
    for axis in (1, 2, 3):
        cells = cells.repeat_interleave(16, axis)
    labels = torch.stack([torch.from_numpy(affinities(sample.numpy())[0]) for sample in cells])
    labels = labels.float()
    logits = (4 * labels - 2 + 2 * torch.randn_like(labels)).requires_grad_()
    mask, gt_seg = torch.ones_like(labels[:, :1]), cells.float()[:, None]

    with LocalServer(flags.server) as server, lossd.Client(server.address) as client:
        orchestrator = lossd.pytc.RemoteLossOrchestrator(CFG, client=client)
        seconds, computed = [], []
        for _ in range(flags.steps + 1):
            start = time.perf_counter()
            loss, _ = orchestrator.compute_standard_loss(logits, labels, mask=mask, gt_seg=gt_seg)
            loss.backward()
            seconds.append(time.perf_counter() - start)
            logits.grad = None
            assert orchestrator.last_result is not None
            computed.append(orchestrator.last_result.timings.compute)
    step, compute = statistics.median(seconds[1:]), statistics.median(computed[1:])
    print(f"step {step:.3f} s, the server computes {compute:.3f} s, ratio {step / compute:.2f}")


if __name__ == "__main__":
    main()

"""Trains a small affinity network whose losses, MALIS among them, a lossd server computes.

And the same network once more without MALIS, from the same seed on the same batches, to compare.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import pathlib
import sys
import time

import numpy as np
import picture
import torch
import yaml
from batches import Batch, Batches, load_segmentation, synthetic_segmentation
from network import SmallUNet
from segments import best_threshold, pair_score, segment
from torch import Tensor

import lossd
import lossd.torch

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED_SEGMENTATION = ROOT.parent / "shared" / "data" / "cortex_seg_256.npz"
LEARNING_RATE = 1e-2


@dataclasses.dataclass
class History:
    """What was measured, a value a step."""

    total: list[float] = dataclasses.field(default_factory=list)
    bce: list[float] = dataclasses.field(default_factory=list)
    malis: list[float] = dataclasses.field(default_factory=list)
    step_seconds: list[float] = dataclasses.field(default_factory=list)
    service_seconds: list[float] = dataclasses.field(default_factory=list)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--steps", type=int, default=40, help="training steps of each (default: 40)"
    )
    parser.add_argument("--crop", type=int, default=64, help="edge of a batch (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="of data and network (default: 0)")
    parser.add_argument(
        "--seg", type=pathlib.Path, help="segmentation to train on: .npy, .npz, .h5 or .tif"
    )
    server = parser.add_mutually_exclusive_group()
    server.add_argument("--address", help="a server that runs; without it the demo starts its own")
    server.add_argument(
        "--server",
        type=pathlib.Path,
        default=ROOT / "build" / "release" / "server" / "lossd",
        help="the binary of the demo's own server (default: that of the release build)",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=ROOT / "demo-output", help="folder for the results"
    )
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps: at least 2")
    if arguments.crop < 8 or arguments.crop % 2:
        parser.error("--crop: an even number of at least 8")
    if arguments.seg is not None and not arguments.seg.is_file():
        parser.error(f"--seg: there is no file {arguments.seg}")
    if arguments.address is None and not arguments.server.exists():
        parser.error(f"--server: {arguments.server} is not there; run `make build` first")
    return arguments


def segmentation(arguments: argparse.Namespace) -> Batches:
    """The batches to train on, and a line on where they come from."""
    path: pathlib.Path | None = arguments.seg
    if path is None and SHARED_SEGMENTATION.exists():
        path = SHARED_SEGMENTATION
    if path is None:
        print("data: synthetic neurites (use --seg FILE for a segmentation of your own)")
        labels = synthetic_segmentation(arguments.seed)
    else:
        print(f"data: {path}")
        labels = load_segmentation(path)
    return Batches(labels, arguments.crop, arguments.seed)


def train(
    network: SmallUNet, criterion: lossd.torch.RemoteLoss, batches: Batches, steps: int
) -> History:
    """Trains, showing how it goes."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    history = History()
    for _ in range(steps):
        batch = batches.draw()
        start = time.perf_counter()
        optimizer.zero_grad()
        loss, logs = evaluate(network, criterion, batch)
        loss.backward()
        optimizer.step()
        assert criterion.last_result is not None
        history.total.append(logs["train_loss_total"])
        history.bce.append(logs["train_loss_term_0_raw"])
        if "train_loss_term_1_raw" in logs:
            history.malis.append(logs["train_loss_term_1_raw"])
        history.step_seconds.append(time.perf_counter() - start)
        history.service_seconds.append(criterion.last_result.timings.total)
        show_progress(history, steps)
    return history


def evaluate(
    network: SmallUNet, criterion: lossd.torch.RemoteLoss, batch: Batch
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch."""
    loss: tuple[Tensor, dict[str, float]] = criterion(
        network(batch.image), batch.target, label_mask=batch.known, gt_seg=batch.segmentation
    )
    return loss


def show_progress(history: History, steps: int) -> None:
    """One line that is written over on a terminal, and a line every fifth step elsewhere."""
    step = len(history.total)
    live = sys.stdout.isatty()
    if not live and step % 5 and step != 1:
        return
    malis = f"MALIS {history.malis[-1]:.4f}" if history.malis else "without MALIS"
    line = (
        f"step {step:3d}/{steps}  loss {history.total[-1]:.4f}  {malis}  "
        f"step {history.step_seconds[-1]:.2f} s  service {history.service_seconds[-1]:.2f} s"
    )
    print(f"\r{line}" if live else line, end="\n" if not live or step == steps else "", flush=True)


def predict(network: SmallUNet, batch: Batch) -> Tensor:
    """The affinities [3, Z, Y, X]."""
    with torch.no_grad():
        affinities: Tensor = network(batch.image)[0].sigmoid()
    return affinities


def malis_gradient(
    client: lossd.Client, term: dict[str, object], batch: Batch, at: Tensor
) -> Tensor:
    """What MALIS would change of these affinities [3, Z, Y, X]: its gradient's magnitude."""
    result = client.compute(
        [term],
        torch.logit(at[None], eps=1e-6),
        batch.target,
        label_mask=batch.known,
        gt_seg=batch.segmentation,
    )
    return torch.as_tensor(result.gradients["output"])[0].abs()


def main() -> int:
    """Runs the demo; the exit status tells whether the loss fell."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    batches = segmentation(arguments)
    sample = batches.draw()
    terms = yaml.safe_load((HERE / "plan.yaml").read_text())["losses"]
    torch.manual_seed(arguments.seed)
    network = SmallUNet()
    other = copy.deepcopy(network)

    with contextlib.ExitStack() as stack:
        address = arguments.address
        if address is None:
            address = stack.enter_context(lossd.LocalServer(binary=arguments.server)).address
        client = stack.enter_context(lossd.Client(address))
        print(f"server: lossd {client.info().version} on {address}")
        criterion = lossd.torch.RemoteLoss(client, terms)
        with torch.no_grad():
            loss_before = float(evaluate(network, criterion, sample)[0])
        start = time.perf_counter()
        history = train(network, criterion, copy.deepcopy(batches), arguments.steps)
        seconds = time.perf_counter() - start
        print("the same without MALIS, to compare:")
        without = lossd.torch.RemoteLoss(client, terms[:1])
        other_history = train(other, without, batches, arguments.steps)
        with torch.no_grad():
            loss_after = float(evaluate(network, criterion, sample)[0])
        affinities = {
            "without MALIS": predict(other, sample),
            "with MALIS": predict(network, sample),
        }
        weights = malis_gradient(client, terms[1], sample, affinities["without MALIS"])

    found = {name: segment(of_one.numpy()) for name, of_one in affinities.items()}
    truth = sample.segmentation[0].numpy()
    scores = {name: pair_score(truth, labels) for name, labels in found.items()}
    best = {name: best_threshold(truth, of_one.numpy()) for name, of_one in affinities.items()}
    figure, weights_file = arguments.out / "training.png", arguments.out / "network.pt"
    picture.draw(
        figure,
        picture.Training(
            bce={"with MALIS": history.bce, "without MALIS": other_history.bce},
            malis=history.malis,
            step_seconds=history.step_seconds,
            service_seconds=history.service_seconds,
        ),
        picture.Outcome(sample, affinities, found, scores, best, weights.numpy()),
    )
    torch.save(network.state_dict(), weights_file)
    share = sum(history.service_seconds) / sum(history.step_seconds)
    print(f"{arguments.steps} steps in {seconds:.1f} s, {share:.0%} of it in the service")
    print(f"loss on one and the same crop: {loss_before:.4f} -> {loss_after:.4f}")
    for name, score in scores.items():
        objects = len(np.unique(found[name])) - 1
        highest, threshold = best[name]
        print(
            f"segmentation {name}: {objects} objects, {score:.2f} right about pairs of voxels; "
            f"{highest:.2f} at its best threshold, {threshold}"
        )
    print(f"picture: {figure}\nnetwork: {weights_file}")
    if not loss_after < loss_before:
        print("FAILED: the loss did not fall", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""DistributedDataParallel: each rank takes the client along, which connects anew in its process."""

from __future__ import annotations

import pathlib
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny import PLAN, make_batches, make_network, show
from torch.nn.parallel import DistributedDataParallel

import lossd
import lossd.torch

RANKS = 2


def train(client: lossd.Client, steps: int) -> list[float]:
    """The loss of each step, as the mean of the ranks: the same as that of whole batches."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(  # type: ignore[attr-defined, no-untyped-call]
            train_rank, (client, steps, folder), nprocs=RANKS
        )
        of_ranks = [torch.load(pathlib.Path(folder) / str(rank)) for rank in range(RANKS)]
    return [sum(losses) / RANKS for losses in zip(*of_ranks, strict=True)]


def train_rank(rank: int, client: lossd.Client, steps: int, folder: str) -> None:
    """One rank's training, on its half of each batch."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS
    )
    network = DistributedDataParallel(make_network())
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    criterion = lossd.torch.RemoteLoss(client, PLAN)
    losses = []
    for batch in make_batches(steps, samples=RANKS):
        image, affinities, segmentation = (of[rank : rank + 1] for of in batch)
        loss, logs = criterion(network(image), affinities, gt_seg=segmentation)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(logs["train_loss_total"])
    torch.save(losses, pathlib.Path(folder) / str(rank))
    dist.destroy_process_group()


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

"""Overlap: the server computes the loss of one sample while the network is at the next."""

from __future__ import annotations

import torch
from tiny import PLAN, make_batches, make_network, show

import lossd
import lossd.torch


def train(client: lossd.Client, steps: int) -> list[float]:
    """The loss of each step: the same as that of whole batches."""
    network = make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    criterion = lossd.torch.RemoteLoss(client, PLAN)
    losses = []
    for batch in make_batches(steps):
        optimizer.zero_grad()
        samples = zip(*(of.split(1) for of in batch), strict=True)
        pending = [
            criterion.submit(network(image), affinities, gt_seg=segmentation)
            for image, affinities, segmentation in samples
        ]
        parts = []
        for call in pending:
            loss, logs = call.result()
            (loss / len(pending)).backward()  # Meanwhile the server is at the next one.
            parts.append(logs["train_loss_total"])
        optimizer.step()
        losses.append(sum(parts) / len(parts))
    return losses


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

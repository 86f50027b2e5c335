"""Gradient accumulation: the samples of a batch one after the other, and one step for all."""

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
        parts = []
        for image, affinities, segmentation in zip(*(of.split(1) for of in batch), strict=True):
            loss, logs = criterion(network(image), affinities, gt_seg=segmentation)
            (loss / len(batch.image)).backward()
            parts.append(logs["train_loss_total"])
        optimizer.step()
        losses.append(sum(parts) / len(parts))
    return losses


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

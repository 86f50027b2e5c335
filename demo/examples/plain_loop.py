"""The plain training loop: a served loss is called and back-propagated like any other."""

from __future__ import annotations

import torch
from tiny import PLAN, make_batches, make_network, show

import lossd
import lossd.torch


def train(client: lossd.Client, steps: int) -> list[float]:
    """The loss of each step."""
    network = make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    criterion = lossd.torch.RemoteLoss(client, PLAN)
    losses = []
    for batch in make_batches(steps):
        loss, logs = criterion(network(batch.image), batch.affinities, gt_seg=batch.segmentation)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(logs["train_loss_total"])
    return losses


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

"""Mixed precision: half predictions travel as they are, and GradScaler works as it always does."""

from __future__ import annotations

import torch
from tiny import PLAN, make_batches, make_network, show

import lossd
import lossd.torch


def train(client: lossd.Client, steps: int, dtype: torch.dtype = torch.bfloat16) -> list[float]:
    """The loss of each step.

    Args:
        client: The server's.
        steps: How many.
        dtype: bfloat16, or float16, whose gradients a GradScaler keeps from vanishing.
    """
    network = make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    scaler = torch.amp.grad_scaler.GradScaler("cpu", enabled=dtype == torch.float16)
    criterion = lossd.torch.RemoteLoss(client, PLAN)
    losses = []
    for batch in make_batches(steps):
        with torch.autocast("cpu", dtype=dtype):
            logits = network(batch.image)
        loss, logs = criterion(logits, batch.affinities, gt_seg=batch.segmentation)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(logs["train_loss_total"])
    return losses


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

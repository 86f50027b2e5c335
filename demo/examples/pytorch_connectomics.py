"""PyTorch Connectomics: its loss orchestrator, of a config as it has them, computed by a server.

In a training with PyTorch Connectomics itself, `lossd.pytc.install(address)` before the module is
built does this; here is what the module then asks of the orchestrator.
"""

from __future__ import annotations

import torch
from omegaconf import OmegaConf
from tiny import make_batches, make_network, show

import lossd
import lossd.pytc

CONFIG = """
model:
  loss:
    losses:
      - function: PerChannelBCEWithLogitsLoss
        weight: 1.0
      - function: MalisLoss
        weight: 1.0
        kwargs: {nhood: [[-1, 0, 0], [0, -1, 0], [0, 0, -1]], reduction: mean}
    loss_balancing: {strategy: null}
"""


def train(client: lossd.Client, steps: int) -> list[float]:
    """The loss of each step."""
    network = make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    orchestrator = lossd.pytc.RemoteLossOrchestrator(OmegaConf.create(CONFIG), client=client)
    losses = []
    for batch in make_batches(steps):
        loss, logs = orchestrator.compute_standard_loss(
            network(batch.image), batch.affinities.float(), gt_seg=batch.segmentation
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(logs["train_loss_total"])
    return losses


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

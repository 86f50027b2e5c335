"""PyTorch Lightning: the loss is a submodule like any other, and its logs are logged."""

from __future__ import annotations

import logging

import pytorch_lightning as pl
import torch
from tiny import PLAN, Batch, make_batches, make_network, show
from torch import Tensor
from torch.utils.data import DataLoader

import lossd
import lossd.torch


class Segmenter(pl.LightningModule):
    """A network and its served loss."""

    def __init__(self, client: lossd.Client) -> None:
        super().__init__()
        self.network = make_network()
        self.criterion = lossd.torch.RemoteLoss(client, PLAN)
        self.losses: list[float] = []

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of a batch."""
        loss, logs = self.criterion(
            self.network(batch.image), batch.affinities, gt_seg=batch.segmentation
        )
        self.log_dict(logs)
        self.losses.append(logs["train_loss_total"])
        total: Tensor = loss
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return torch.optim.Adam(self.network.parameters(), lr=0.02)


def train(client: lossd.Client, steps: int) -> list[float]:
    """The loss of each step."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    segmenter = Segmenter(client)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader: DataLoader[Batch] = DataLoader(make_batches(steps), batch_size=None)  # type: ignore[arg-type]
    trainer.fit(segmenter, loader)
    return segmenter.losses


if __name__ == "__main__":
    with lossd.Client() as client:
        show(train(client, steps=20))

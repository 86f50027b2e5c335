"""A short seeded training: losses from a server and local ones agree step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import oracle
import torch
from neurites import NHOOD, affinities, erode, image_of, make_neurites
from torch import Tensor, nn

import lossd
import lossd.torch

CROP = (5, 6, 7)
PLAN = [
    {"function": "PerChannelBCEWithLogitsLoss"},
    {"function": "MalisLoss", "weight": 2.0, "kwargs": {"malis_crop_size": list(CROP)}},
]


def local_loss(logits: Tensor, target: Tensor, segmentation: Tensor) -> Tensor:
    crop = oracle.draw_crop(logits.shape[2:], CROP)
    malis = oracle.malis_loss(logits[crop], target[crop], segmentation[crop])
    return oracle.per_channel_bce(logits, target) + 2 * malis


def train(criterion: Callable[[Tensor, Tensor, Tensor], Tensor], steps: int) -> list[float]:
    """The losses of a small network's training."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv3d(6, 3, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    labels = erode(make_neurites((8, 12, 12), 4, rng, growth=6))
    target = torch.from_numpy(affinities(labels)[0])[None]
    image = torch.from_numpy(image_of(labels, rng))[None, None]
    losses = []
    for _ in range(steps):
        loss = criterion(network(image), target, torch.from_numpy(labels)[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_seeded_training_agrees_step_by_step(client: lossd.Client) -> None:
    assert oracle.NHOOD == NHOOD
    remote = lossd.torch.RemoteLoss(client, PLAN)
    served = train(lambda logits, target, seg: remote(logits, target, gt_seg=seg)[0], 12)
    local = train(local_loss, 12)
    np.testing.assert_allclose(served, local, rtol=2e-4)
    np.testing.assert_allclose(served[0], local[0], rtol=1e-6)
    assert served[-1] < served[0]

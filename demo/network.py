"""A 3-D U-Net as small as one can be and still learn where membranes are."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _convolutions(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, padding=1),
        nn.InstanceNorm3d(channels_out, affine=True),
        nn.ReLU(inplace=True),
    )


class SmallUNet(nn.Module):
    """Affinity logits [B, 3, Z, Y, X] from an image [B, 1, Z, Y, X] of even sizes."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.fine = nn.Sequential(_convolutions(1, width), _convolutions(width, width))
        self.coarse = nn.Sequential(
            nn.MaxPool3d(2),
            _convolutions(width, 2 * width),
            _convolutions(2 * width, 2 * width),
            nn.Upsample(scale_factor=2),
        )
        self.merge = _convolutions(3 * width, width)
        self.head = nn.Conv3d(width, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        fine = self.fine(image)
        logits: Tensor = self.head(self.merge(torch.cat([fine, self.coarse(fine)], dim=1)))
        return logits

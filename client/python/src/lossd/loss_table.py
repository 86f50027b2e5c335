"""What the losses are called with, known without a server."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class LossKinds:
    """A row of the table, which is generated from the server's list of losses.

    Attributes:
        call_kind: "pred_target", "pred_only" or "pred_pred".
        target_kind: "dense", "class_index" or "none".
        spatial_weight_arg: "weight", "mask" or None.
        takes_gt_seg: Whether it looks at the segmentation.
        usable_in_plan: Whether a plan may use it.
        options: Its options with their defaults; None where one is absent by default.
    """

    call_kind: str
    target_kind: str
    spatial_weight_arg: str | None
    takes_gt_seg: bool
    usable_in_plan: bool
    options: Mapping[str, Any]


@functools.cache
def loss_table() -> Mapping[str, LossKinds]:
    """The losses by name."""
    text = importlib.resources.files("lossd").joinpath("losses.json").read_text(encoding="utf-8")
    return {name: LossKinds(**row) for name, row in json.loads(text).items()}

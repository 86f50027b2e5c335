"""MONAI's losses as a server computes them, against MONAI itself over a grid of their options."""

from __future__ import annotations

import warnings
from typing import Any

import monai.losses
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_term import assert_same, compute_term
from torch import Tensor

import lossd

BATCH, CHANNELS = st.integers(1, 3), st.integers(1, 4)
SPACE = st.sampled_from([(4, 5), (3, 4, 2)])
FLAG = st.booleans()
SMOOTH = st.sampled_from([0.0, 1e-5, 1.0])
FACTOR = st.sampled_from([0.0, 0.3, 1.0, 2.0])
ALPHA = st.none() | st.sampled_from([0.0, 0.25, 1.0])
WEIGHT = st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=4)

COMMON: dict[str, st.SearchStrategy[Any]] = {
    "include_background": FLAG,
    "to_onehot_y": FLAG,
    "reduction": st.sampled_from(["mean", "sum"]),
}
OVERLAP = {**COMMON, "sigmoid": FLAG, "softmax": FLAG, "batch": FLAG} | {
    "smooth_nr": SMOOTH,
    "smooth_dr": SMOOTH,
}
DICE = {**OVERLAP, "squared_pred": FLAG, "jaccard": FLAG, "weight": WEIGHT}
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "DiceLoss": {**DICE, "soft_label": FLAG},
    "DiceCELoss": {
        **DICE,
        "lambda_dice": FACTOR,
        "lambda_ce": FACTOR,
        "label_smoothing": st.sampled_from([0.0, 0.1]),
    },
    "DiceFocalLoss": {
        **DICE,
        "gamma": FACTOR,
        "alpha": ALPHA,
        "lambda_dice": FACTOR,
        "lambda_focal": FACTOR,
    },
    "GeneralizedDiceLoss": {
        **OVERLAP,
        "w_type": st.sampled_from(["square", "simple", "uniform"]),
        "soft_label": FLAG,
    },
    "FocalLoss": {
        **COMMON,
        "gamma": FACTOR,
        "alpha": ALPHA,
        "weight": WEIGHT,
        "use_softmax": FLAG,
    },
    "TverskyLoss": {**OVERLAP, "alpha": FACTOR, "beta": FACTOR, "soft_label": FLAG},
}


def make_batch(data: st.DataObject, name: str, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Predictions and targets that fit the options."""
    torch.manual_seed(data.draw(st.integers(0, 2**32), label="seed"))
    batch, channels, space = data.draw(BATCH), data.draw(CHANNELS), data.draw(SPACE)
    pred = 2 * torch.randn(batch, channels, *space)
    logits = kwargs.get("sigmoid") or kwargs.get("softmax") or name == "FocalLoss"
    if not logits:
        pred = pred.sigmoid()
    if kwargs.get("to_onehot_y") and channels > 1:
        return pred.requires_grad_(), torch.randint(0, channels, (batch, 1, *space)).float()
    target = torch.rand(batch, channels, *space)
    if not kwargs.get("soft_label"):
        target = (target > 0.5).float()
    return pred.requires_grad_(), target


def by_monai(name: str, kwargs: dict[str, Any], pred: Tensor, target: Tensor) -> Tensor | None:
    """MONAI's loss; None where it refuses, or yields no number."""
    weight = kwargs.get("weight")
    if weight is not None and name == "DiceCELoss":
        kwargs = {**kwargs, "weight": torch.tensor(weight)}
    try:
        with warnings.catch_warnings(action="ignore"):
            loss: Tensor = getattr(monai.losses, name)(**kwargs)(pred, target)
    except (ValueError, AssertionError, RuntimeError, IndexError):
        return None
    return loss if loss.isfinite() else None


def has_gradient(loss: Tensor, pred: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(loss, pred, retain_graph=True)
    return bool(gradient.isfinite().all())


@pytest.mark.parametrize("name", OPTIONS)
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_monai_loss(client: lossd.Client, name: str, data: st.DataObject) -> None:
    options = st.fixed_dictionaries({}, optional=OPTIONS[name])
    kwargs = {key: value for key, value in data.draw(options).items() if value is not None}
    pred, target = make_batch(data, name, kwargs)
    expected = by_monai(name, kwargs, pred, target)
    if expected is None:
        with pytest.raises(lossd.InvalidArgumentError):
            compute_term(client, name, kwargs, pred, target)
    elif has_gradient(expected, pred):
        assert_same(compute_term(client, name, kwargs, pred, target), expected, pred)


@pytest.mark.parametrize("name", ["DiceLoss", "FocalLoss", "DiceFocalLoss"])
def test_one_weight_for_all_classes(client: lossd.Client, name: str) -> None:
    torch.manual_seed(0)
    pred = torch.randn(2, 3, 4, 5, requires_grad=True)
    target = (torch.rand(2, 3, 4, 5) > 0.5).float()
    kwargs = {"weight": 0.7} | ({} if name == "FocalLoss" else {"sigmoid": True})
    expected = by_monai(name, kwargs, pred, target)
    assert expected is not None
    assert_same(compute_term(client, name, kwargs, pred, target), expected, pred)

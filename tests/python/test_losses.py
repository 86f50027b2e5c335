"""The losses that are not MONAI's, against their definitions written in PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import oracle
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from single_term import assert_same, compute_term
from torch import Tensor

import lossd

SHAPES = [(2, 3, 5, 6), (2, 3, 4, 5, 3)]

# A loss of (prediction, target, weight or None, options).
Definition = Callable[..., Tensor]


def reduced(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    weighted = loss if weight is None else loss * weight
    if reduction == "sum":
        return weighted.sum()
    return weighted.mean() if weight is None else oracle.masked_mean(loss, weight)


def weighted_bce(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    pos_weight: float = 1,
    reduction: str = "mean",
) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(
        pred, target, pos_weight=torch.tensor(pos_weight), reduction="none"
    )
    return reduced(loss, weight, reduction)


def per_channel_bce(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    auto_pos_weight: bool = True,
    max_pos_weight: float = 10,
    reduction: str = "mean",
) -> Tensor:
    known = torch.ones_like(pred) if weight is None else weight.expand_as(pred)
    total = torch.zeros(())
    for c in range(pred.shape[1]):
        counted = known[:, c] > 0
        positives = int(((target[:, c] > 0) & counted).sum())
        negatives = int(((target[:, c] <= 0) & counted).sum())
        ratio = min(negatives / positives, max_pos_weight) if positives else 1.0
        total = total + weighted_bce(
            pred[:, c],
            target[:, c],
            None if weight is None else known[:, c],
            pos_weight=ratio if auto_pos_weight else 1.0,
            reduction=reduction,
        )
    return total


def neighbours(values: Tensor, offsets: Sequence[Sequence[int]], beyond: float) -> Tensor:
    """The values of each voxel's neighbours at these offsets, in a new first dimension."""
    reach = max(abs(step) for offset in offsets for step in offset)
    dims = values.ndim - 2
    padded = F.pad(values, [reach] * (2 * dims), value=beyond)
    shifted = []
    for offset in offsets:
        place = [
            slice(reach + s, reach + s + n) for s, n in zip(offset, values.shape[2:], strict=True)
        ]
        shifted.append(padded[(..., *place)])  # type: ignore[index]
    return torch.stack(shifted)


def cube(dims: int, half: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(-half, half + 1), repeat=dims))


def scnp(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    neighborhood_size: int = 3,
    **options: Any,
) -> Tensor:
    foreground = target > 0.5
    window = cube(pred.ndim - 2, neighborhood_size // 2)
    infinite = float("inf")
    lowest = neighbours(pred.where(foreground, infinite), window, infinite).amin(0)
    highest = neighbours(pred.where(~foreground, -infinite), window, -infinite).amax(0)
    return per_channel_bce(torch.where(foreground, lowest, highest), target, weight, **options)


def regression(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    error: Callable[[Tensor], Tensor],
    reduction: str = "mean",
    tanh: bool = False,
) -> Tensor:
    return reduced(error((pred.tanh() if tanh else pred) - target), weight, reduction)


def weighted_mse(*args: Tensor | None, **options: Any) -> Tensor:
    return regression(*args, error=torch.square, **options)  # type: ignore[arg-type]


def weighted_mae(*args: Tensor | None, **options: Any) -> Tensor:
    return regression(*args, error=torch.abs, **options)  # type: ignore[arg-type]


def smooth_l1(*args: Tensor | None, beta: float = 1, **options: Any) -> Tensor:
    def error(difference: Tensor) -> Tensor:
        size = difference.abs()
        return torch.where(size < beta, size**2 / (2 * beta or 1), size - beta / 2)

    return regression(*args, error=error, **options)  # type: ignore[arg-type]


def log_cosh(
    pred: Tensor, target: Tensor, weight: Tensor | None, *, reduction: str = "mean"
) -> Tensor:
    return reduced((pred - target).cosh().log(), weight, reduction)


WEIGHTED: list[tuple[str, Definition, dict[str, Any]]] = [
    ("WeightedBCEWithLogitsLoss", weighted_bce, {}),
    ("WeightedBCEWithLogitsLoss", weighted_bce, {"pos_weight": 2.5, "reduction": "sum"}),
    ("PerChannelBCEWithLogitsLoss", per_channel_bce, {}),
    ("PerChannelBCEWithLogitsLoss", per_channel_bce, {"max_pos_weight": 0.5, "reduction": "sum"}),
    ("PerChannelBCEWithLogitsLoss", per_channel_bce, {"auto_pos_weight": False}),
    ("ScnpLoss", scnp, {}),
    ("ScnpLoss", scnp, {"neighborhood_size": 5, "max_pos_weight": 0.7, "reduction": "sum"}),
    ("ScnpLoss", scnp, {"neighborhood_size": 1, "auto_pos_weight": False}),
    ("WeightedMSELoss", weighted_mse, {}),
    ("WeightedMSELoss", weighted_mse, {"tanh": True, "reduction": "sum"}),
    ("WeightedMAELoss", weighted_mae, {}),
    ("WeightedMAELoss", weighted_mae, {"tanh": True, "reduction": "sum"}),
    ("SmoothL1Loss", smooth_l1, {}),
    ("SmoothL1Loss", smooth_l1, {"beta": 0.3, "tanh": True}),
    ("SmoothL1Loss", smooth_l1, {"beta": 0.0, "reduction": "sum"}),
    ("LogCoshLoss", log_cosh, {}),
    ("LogCoshLoss", log_cosh, {"reduction": "sum"}),
]


def named(case: Any) -> str:
    return case if isinstance(case, str) else ""


@pytest.mark.parametrize("shape", SHAPES, ids=["2-D", "3-D"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(("name", "definition", "kwargs"), WEIGHTED, ids=named)
def test_weighted_loss(
    client: lossd.Client,
    name: str,
    definition: Definition,
    kwargs: dict[str, Any],
    weighted: bool,
    shape: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    pred = (2 * torch.randn(shape)).requires_grad_()
    target = (torch.rand(shape) > 0.4).float()
    # The labels' last channel is the term's mask; without one a plan balances classes itself,
    # which pos_weight 1 turns off.
    weight = torch.tensor([0.0, 0.5, 1.0])[torch.randint(0, 3, (shape[0], 1, *shape[2:]))]
    labels = torch.cat([target, weight], dim=1)
    term: dict[str, Any] = {"mask_slice": -1} if weighted else {"pos_weight": 1.0}
    ours = compute_term(client, name, kwargs, pred, labels, target_slice="0:3", **term)
    expected = definition(pred, target, weight if weighted else None, **kwargs)
    assert_same(ours, expected, pred)


CLASSES = torch.tensor([0.5, 2.0, 1.0])


@pytest.mark.parametrize("shape", SHAPES, ids=["2-D", "3-D"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"reduction": "sum", "label_smoothing": 0.2},
        {"ignore_index": 1},
        {"weight": CLASSES, "label_smoothing": 0.1, "ignore_index": 2},
    ],
)
def test_cross_entropy(
    client: lossd.Client, kwargs: dict[str, Any], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    pred = torch.randn(shape, requires_grad=True)
    classes = torch.randint(0, 3, (shape[0], 1, *shape[2:]))
    for target in (classes, classes.float(), classes.to(torch.uint8)):
        ours = compute_term(client, "CrossEntropyLoss", kwargs, pred, target)
        assert_same(ours, F.cross_entropy(pred, classes[:, 0], **kwargs), pred)


@pytest.mark.parametrize("shape", SHAPES, ids=["2-D", "3-D"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits),
        ("MSELoss", F.mse_loss),
        ("L1Loss", F.l1_loss),
    ],
    ids=named,
)
def test_loss_of_torch(
    client: lossd.Client,
    name: str,
    definition: Callable[..., Tensor],
    reduction: str,
    shape: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    pred, target = torch.randn(shape, requires_grad=True), torch.rand(shape)
    ours = compute_term(client, name, {"reduction": reduction}, pred, target)
    assert_same(ours, definition(pred, target, reduction=reduction), pred)


def cross(dims: int) -> list[tuple[int, ...]]:
    """A voxel and its neighbours along each axis."""
    axes = [tuple(int(a == axis) for a in range(dims)) for axis in range(dims)]
    return [(0,) * dims, *axes, *(tuple(-s for s in axis) for axis in axes)]


def skeleton(p: Tensor, num_iters: int) -> Tensor:
    dims = p.ndim - 2

    def erode(values: Tensor) -> Tensor:
        return neighbours(values, cross(dims), float("inf")).amin(0)

    def excess(values: Tensor) -> Tensor:
        opened = neighbours(erode(values), cube(dims, 1), -float("inf")).amax(0)
        return (values - opened).relu()

    found = excess(p)
    for _ in range(num_iters):
        p = erode(p)
        delta = excess(p)
        found = found + (delta - found * delta).relu()
    return found


def soft_cldice(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    channels: list[int],
    *,
    num_iters: int = 5,
    smooth: float = 1,
    softmax: bool = False,
    reduction: str = "mean",
    **_: Any,
) -> Tensor:
    p = (pred.softmax(1) if softmax else pred.sigmoid())[:, channels]
    t = target[:, channels]
    parts = [p, t, skeleton(p, num_iters), skeleton(t, num_iters)]
    if weight is not None:
        parts = [part * weight for part in parts]

    def total(values: Tensor) -> Tensor:
        return values.flatten(2).sum(2)

    p, t, of_p, of_t = parts
    precision = (total(of_p * t) + smooth) / (total(of_p) + smooth)
    sensitivity = (total(of_t * p) + smooth) / (total(of_t) + smooth)
    loss = 1 - 2 * precision * sensitivity / (precision + sensitivity + smooth)
    return loss.sum() if reduction == "sum" else loss.mean()


@pytest.mark.parametrize("shape", SHAPES, ids=["2-D", "3-D"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("kwargs", "channels"),
    [
        ({"sigmoid": True}, [1]),
        ({"sigmoid": True, "foreground_channel": 2, "num_iters": 2, "smooth": 0.1}, [2]),
        ({"softmax": True, "mode": "multi", "num_iters": 1}, [1, 2]),
        ({"sigmoid": True, "mode": "multi", "background_index": 1, "reduction": "sum"}, [0, 2]),
    ],
)
def test_soft_cldice(
    client: lossd.Client,
    kwargs: dict[str, Any],
    channels: list[int],
    weighted: bool,
    shape: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    pred = (2 * torch.randn(shape)).requires_grad_()
    classes = torch.randint(0, 3, (shape[0], *shape[2:]))
    target = F.one_hot(classes, 3).movedim(-1, 1).float()
    weight = torch.rand(shape[0], 1, *shape[2:]) if weighted else None
    term: dict[str, Any] = {"pos_weight": 1.0}
    labels = target
    if weight is not None:
        labels, term = torch.cat([target, weight], dim=1), {"mask_slice": 3, "target_slice": "0:3"}
    ours = compute_term(client, "SoftClDiceLoss", kwargs, pred, labels, **term)
    assert_same(ours, soft_cldice(pred, target, weight, channels, **kwargs), pred)


def test_a_weight_of_soft_cldice_may_have_the_channels_that_count(client: lossd.Client) -> None:
    torch.manual_seed(0)
    shape = SHAPES[1]
    pred = (2 * torch.randn(shape)).requires_grad_()
    target, weight = (torch.rand(shape) > 0.5).float(), torch.rand(shape)[:, :2]
    kwargs = {"softmax": True, "mode": "multi"}
    term: dict[str, Any] = {"target_slice": "0:3", "mask_slice": "3:5"}
    labels = torch.cat([target, weight], dim=1)
    ours = compute_term(client, "SoftClDiceLoss", kwargs, pred, labels, **term)
    assert_same(ours, soft_cldice(pred, target, weight, [1, 2], softmax=True), pred)
    # Masks of all channels do not fit one of two.
    plan = [{"function": "SoftClDiceLoss", "kwargs": kwargs, **term}]
    for given in ({"mask": torch.ones(shape)}, {"label_mask": torch.ones(labels.shape).bool()}):
        with pytest.raises(lossd.InvalidArgumentError, match="expected 1, beside the 2") as caught:
            client.compute(plan, pred.detach(), labels, **given)  # type: ignore[arg-type]
        assert str(caught.value.field).startswith(next(iter(given)))


def binary(p: Tensor, *, min_threshold: float = 0.01, apply_sigmoid: bool = True) -> Tensor:
    p = p.sigmoid() if apply_sigmoid else p
    return 1 / (p - 0.5).abs().clamp(min=min_threshold)


def foreground_distance(foreground: Tensor, distance: Tensor) -> Tensor:
    d = distance.tanh()
    return -F.logsigmoid(foreground) * d.relu() - F.logsigmoid(-foreground) * (-d).relu()


def contour_distance(contour: Tensor, distance: Tensor) -> Tensor:
    return (contour.sigmoid() * distance.tanh().abs()) ** 2


def foreground_contour(foreground: Tensor, contour: Tensor, *, eps: float = 1e-7) -> Tensor:
    f = foreground.sigmoid()
    along_x, along_y = (neighbours(f, [s, [-i for i in s]], 0) for s in ([0, 0, 1], [0, 1, 0]))
    squares = (along_x[0] - along_x[1]) ** 2 + (along_y[0] - along_y[1]) ** 2
    edge = (squares + eps).sqrt().clamp(eps, 1 - eps)
    window = [(0, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return (contour.sigmoid() - neighbours(edge, window, 0).amax(0)) ** 2


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize(
    ("name", "definition", "kwargs"),
    [
        ("BinaryRegularization", binary, {}),
        ("BinaryRegularization", binary, {"min_threshold": 0.2, "apply_sigmoid": False}),
        ("ForegroundDistanceConsistency", foreground_distance, {}),
        ("ContourDistanceConsistency", contour_distance, {}),
        ("ForegroundContourConsistency", foreground_contour, {}),
        ("ForegroundContourConsistency", foreground_contour, {"eps": 0.01}),
    ],
    ids=named,
)
def test_regulariser(
    client: lossd.Client,
    name: str,
    definition: Callable[..., Tensor],
    kwargs: dict[str, Any],
    masked: bool,
) -> None:
    torch.manual_seed(0)
    pred = torch.randn(2, 2, 4, 5, 6, requires_grad=True)
    mask = torch.randint(0, 2, (2, 1, 4, 5, 6)).float() if masked else None
    both = name != "BinaryRegularization"
    term = {"pred_slice": "0:1"} | ({"pred2_slice": "1:2"} if both else {})
    ours = compute_term(client, name, kwargs, pred, torch.zeros(2, 1, 4, 5, 6), mask, **term)
    loss_map = definition(*([pred[:, :1], pred[:, 1:]] if both else [pred[:, :1]]), **kwargs)
    assert_same(ours, (loss_map if mask is None else loss_map * mask).mean(), pred)


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("cleft_masked", [True, False])
def test_non_overlap(client: lossd.Client, channels: int, cleft_masked: bool) -> None:
    torch.manual_seed(0)
    pred = torch.randn(2, channels, 4, 5, 6, requires_grad=True)
    p = pred.sigmoid()
    loss_map = p[:, 0] * p[:, 1]
    if channels == 3 and cleft_masked:
        loss_map = loss_map * p[:, 2].detach()
    ours = compute_term(
        client,
        "NonOverlapRegularization",
        {"cleft_masked": cleft_masked},
        pred,
        torch.zeros(2, 1, 4, 5, 6),
        pred_slice=f"0:{channels}",
    )
    assert_same(ours, loss_map.mean(), pred)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["DiceLoss", "ScnpLoss", "SoftClDiceLoss", "MalisLoss"])
def test_half_predictions_are_computed_in_float32(
    client: lossd.Client, name: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    pred = torch.randn(1, 3, 4, 5, 6).to(dtype)
    target = (torch.rand(1, 3, 4, 5, 6) > 0.4).float()
    kwargs = {} if name == "ScnpLoss" else {"sigmoid": True}
    plan = [{"function": name, "kwargs": kwargs}]
    half = client.compute(plan, pred, target)
    full = client.compute(plan, pred.float(), target)
    assert half.total == full.total
    gradient = cast(Tensor, half.gradients["output"])
    assert torch.equal(gradient, cast(Tensor, full.gradients["output"]).to(dtype))


def test_every_loss_is_tested(client: lossd.Client) -> None:
    here = {name for name, _, _ in WEIGHTED} | {"MalisLoss"}
    here |= {"CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "SoftClDiceLoss"}
    here |= {"BinaryRegularization", "NonOverlapRegularization", "ForegroundDistanceConsistency"}
    here |= {"ContourDistanceConsistency", "ForegroundContourConsistency"}
    by_monai = {"DiceLoss", "DiceCELoss", "DiceFocalLoss", "GeneralizedDiceLoss", "FocalLoss"}
    usable = {loss.name for loss in client.losses() if loss.usable_in_plan}
    assert usable == here | by_monai | {"TverskyLoss"}

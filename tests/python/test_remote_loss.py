"""RemoteLoss and RemoteMalisLoss against the same losses in local PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

import lossd
import lossd.torch

SHAPE = (2, 3, 4, 6, 5)
BCE = {"function": "PerChannelBCEWithLogitsLoss"}
MSE = {"function": "WeightedMSELoss"}
MALIS = {"function": "MalisLoss"}


def batch(
    dtype: torch.dtype = torch.float32, shape: tuple[int, ...] = SHAPE
) -> tuple[Tensor, Tensor]:
    """Logits that want a gradient, and affinities."""
    torch.manual_seed(0)
    logits = (2 * torch.randn(shape)).to(dtype).requires_grad_()
    return logits, (torch.rand(shape) > 0.4).float()


def gradient_of(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


LOCAL: dict[str, tuple[list[dict[str, str]], Callable[[Tensor, Tensor], Tensor]]] = {
    "bce": ([BCE], oracle.per_channel_bce),
    "mse": ([MSE], oracle.balanced_mse),
    "malis": ([MALIS], oracle.malis_loss),
    "bce+malis": (
        [BCE, MALIS],
        lambda pred, target: oracle.per_channel_bce(pred, target) + oracle.malis_loss(pred, target),
    ),
}


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)],
    ids=["float32", "float16", "bfloat16"],
)
def test_loss_and_gradient_are_those_of_autograd(
    client: lossd.Client, name: str, dtype: torch.dtype, tolerance: float
) -> None:
    plan, local = LOCAL[name]
    logits, target = batch(dtype)
    expected = local(logits, target)
    loss, logs = lossd.torch.RemoteLoss(client, plan)(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    assert logs["train_loss_total"] == pytest.approx(float(loss.detach()))

    (gradient,) = gradient_of(loss, logits)
    assert gradient.dtype == dtype
    (wanted,) = gradient_of(expected, logits)
    atol = tolerance * float(wanted.abs().max()) / 10
    torch.testing.assert_close(gradient, wanted, rtol=tolerance, atol=atol)


@pytest.mark.parametrize("cropped", [False, True])
def test_a_submitted_loss_is_that_of_a_call(client: lossd.Client, cropped: bool) -> None:
    malis = {**MALIS, "kwargs": {"malis_crop_size": 3}} if cropped else MALIS
    criterion = lossd.torch.RemoteLoss(client, [malis] if cropped else [BCE, malis])
    batches = [batch(shape=(1, 3, 4, 5, 5 + index)) for index in range(3)]
    torch.manual_seed(1)
    expected = [criterion(logits, target) for logits, target in batches]
    torch.manual_seed(1)
    pending = [criterion.submit(logits, target) for logits, target in batches]
    for call, (loss, logs), (logits, _) in zip(pending, expected, batches, strict=True):
        with torch.no_grad():  # What counts is whether it was wanted when the call was made.
            submitted, submitted_logs = call.result()
        assert submitted_logs == logs
        assert criterion.last_result is not None
        assert criterion.last_result.logs == logs
        assert torch.equal(submitted, loss)
        assert torch.equal(*gradient_of(submitted, logits), *gradient_of(loss, logits))
        assert call.result()[0] is submitted


def test_the_loss_of_a_micro_batch_is_computed_during_the_next_forward(
    client: lossd.Client,
) -> None:
    torch.manual_seed(2)
    network = nn.Conv3d(1, 3, 3, padding=1)
    twin = copy.deepcopy(network)
    images, (_, target) = torch.randn(2, 1, 1, *SHAPE[2:]), batch()
    criterion = lossd.torch.RemoteLoss(client, [BCE])
    under_way: lossd.Pending[tuple[Tensor, dict[str, float]]] | None = None
    for image, labels in zip(images, target, strict=True):
        outputs = network(image)
        if under_way is not None:
            under_way.result()[0].backward()
        under_way = criterion.submit(outputs, labels[None])
    assert under_way is not None
    under_way.result()[0].backward()
    for image, labels in zip(images, target, strict=True):
        oracle.per_channel_bce(twin(image), labels[None]).backward()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_a_submitted_loss_without_a_gradient(client: lossd.Client) -> None:
    logits, target = batch()
    criterion = lossd.torch.RemoteLoss(client, [BCE])
    with torch.no_grad():
        pending = criterion.submit(logits, target)
    loss, _ = pending.result()
    assert not loss.requires_grad


def test_upstream_gradient_scales(client: lossd.Client) -> None:
    logits, target = batch()
    criterion = lossd.torch.RemoteLoss(client, [BCE])
    (once,) = gradient_of(criterion(logits, target)[0], logits)
    (scaled,) = gradient_of(-3 * criterion(logits, target)[0] ** 2 / 2, logits)
    torch.testing.assert_close(scaled, -3 * criterion(logits, target)[0].detach() * once)


def test_float16_gradients_survive_a_gradient_scaler(client: lossd.Client) -> None:
    # Unscaled, this gradient is far below the smallest float16, 6e-8.
    logits, target = batch(torch.float16, (1, 1, 64, 64, 64))
    scale = 65536.0
    loss, _ = lossd.torch.RemoteLoss(client, [{**MSE, "weight": 0.001}])(logits, target)
    (gradient,) = gradient_of(scale * loss, logits)
    expected = scale * 0.001 * oracle.balanced_mse(logits, target)
    (wanted,) = gradient_of(expected, logits)
    assert wanted.count_nonzero() > 200_000
    torch.testing.assert_close(gradient, wanted, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_amp_training_step(client: lossd.Client, dtype: torch.dtype) -> None:
    def step(criterion: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
        torch.manual_seed(1)
        network = nn.Conv3d(1, 3, 3, padding=1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
        scaler = torch.amp.grad_scaler.GradScaler("cpu", enabled=dtype == torch.float16)
        image, (_, target) = torch.randn(2, 1, *SHAPE[2:]), batch()
        with torch.autocast("cpu", dtype=dtype):
            logits = network(image)
            assert logits.dtype == dtype
            loss = criterion(logits, target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return [parameter.detach() for parameter in network.parameters()]

    remote = lossd.torch.RemoteLoss(client, [BCE])
    for ours, theirs in zip(
        step(lambda logits, target: remote(logits, target)[0]),
        step(oracle.per_channel_bce),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)


def test_one_step_of_gradient_descent(client: lossd.Client) -> None:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 1))
    twin = copy.deepcopy(network)
    image, (_, target) = torch.randn(2, 1, *SHAPE[2:]), batch()
    plan, local = LOCAL["bce+malis"]
    lossd.torch.RemoteLoss(client, plan)(network(image), target)[0].backward()
    local(twin(image), target).backward()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.optim.SGD([ours, theirs], lr=0.1).step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_no_gradient_is_computed_where_none_is_wanted(client: lossd.Client) -> None:
    logits, target = batch()
    criterion = lossd.torch.RemoteLoss(client, [BCE])
    trained, _ = criterion(logits, target)
    with torch.no_grad():
        loss, logs = criterion.eval()(logits, target)
    assert not loss.requires_grad
    assert logs["val_loss_total"] == float(loss) == float(trained.detach())
    assert not criterion(logits.detach(), target)[0].requires_grad


def test_named_heads_each_get_their_gradient(client: lossd.Client) -> None:
    logits, target = batch()
    affinities, distance = logits[:, :2].detach().requires_grad_(), logits[:, 2:].detach()
    plan = {
        "heads": {"aff": {"target_slice": "0:2"}, "sdt": {"target_slice": "2"}},
        "losses": [{**BCE, "pred_head": "aff"}, {**MSE, "pred_head": "sdt", "weight": 2.0}],
    }
    loss, _ = lossd.torch.RemoteLoss(client, plan)({"aff": affinities, "sdt": distance}, target)
    expected = oracle.per_channel_bce(affinities, target[:, :2])
    torch.testing.assert_close(loss, expected + 2 * oracle.balanced_mse(distance, target[:, 2:]))
    torch.testing.assert_close(gradient_of(loss, affinities), gradient_of(expected, affinities))


def test_deep_supervision(client: lossd.Client) -> None:
    _, target = batch(shape=(1, 3, 4, 8, 8))
    fine, coarse = torch.randn(1, 3, 4, 8, 8), torch.randn(1, 3, 2, 4, 4)
    outputs = {"output": fine.requires_grad_(), "ds_1": coarse.requires_grad_()}
    criterion = lossd.torch.RemoteLoss(client, [MSE], mode="deep_supervision")
    loss, logs = criterion(outputs, target)
    resized = nn.functional.interpolate(target, size=(2, 4, 4), mode="trilinear")
    scales = [oracle.balanced_mse(fine, target), oracle.balanced_mse(coarse, resized)]
    expected = scales[0] + 0.5 * scales[1]
    torch.testing.assert_close(loss, expected)
    assert logs["train_loss_scale_1"] == pytest.approx(float(scales[1].detach()), rel=1e-5)
    torch.testing.assert_close(
        gradient_of(loss, fine, coarse), gradient_of(expected, fine, coarse), rtol=1e-4, atol=1e-7
    )


def test_log_variances_get_their_gradient(client: lossd.Client) -> None:
    logits, target = batch()
    log_vars = torch.tensor([0.3, -0.5], requires_grad=True)
    plan = {"losses": [BCE, MSE], "loss_balancing": {"strategy": "uncertainty"}}
    loss, _ = lossd.torch.RemoteLoss(client, plan)(logits, target, log_vars=log_vars)
    terms = torch.stack(
        [oracle.per_channel_bce(logits, target), oracle.balanced_mse(logits, target)]
    )
    expected = (0.5 * torch.exp(-log_vars) * terms + 0.5 * log_vars).sum()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        gradient_of(loss, logits, log_vars),
        gradient_of(expected, logits, log_vars),
        rtol=1e-5,
        atol=1e-7,
    )


def test_second_derivatives_are_refused(client: lossd.Client) -> None:
    logits, target = batch()
    loss, _ = lossd.torch.RemoteLoss(client, [BCE])(logits, target)
    malis = lossd.torch.RemoteMalisLoss(client=client)(logits, target)
    for served in (loss, malis):
        with pytest.raises(RuntimeError, match="second derivatives"):
            torch.autograd.grad(served, logits, create_graph=True)


def test_a_bad_plan_is_refused_at_the_first_call(client: lossd.Client) -> None:
    logits, target = batch()
    with pytest.raises(lossd.InvalidArgumentError, match="WeightedMSELoss") as caught:
        lossd.torch.RemoteLoss(client, [{"function": "WeightedMSELos"}])(logits, target)
    assert caught.value.field == "losses[0].function"


def test_crops_are_drawn_from_torchs_generator(client: lossd.Client) -> None:
    logits, target = batch(shape=(1, 3, 6, 9, 8))
    cropped = {**MALIS, "kwargs": {"malis_crop_size": [3, 4, 5]}}
    criterion = lossd.torch.RemoteLoss(client, [cropped, BCE, cropped])
    torch.manual_seed(5)
    criterion(logits, target)
    torch.manual_seed(5)
    drawn = [tuple(int(torch.randint(0, n, (1,))) for n in (4, 6, 4)) for _ in range(2)]
    assert criterion.last_result is not None
    origins = [term.malis_crop_origin for term in criterion.last_result.terms]
    assert origins == [drawn[0], None, drawn[1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_of_a_cropped_malis_alone_only_the_crop_is_sent(
    client: lossd.Client, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, target = batch(dtype, (2, 3, 6, 9, 8))
    mask = (torch.rand(2, 1, 6, 9, 8) > 0.2).float()
    label_mask, gt_seg = torch.rand(target.shape) > 0.2, torch.randint(0, 4, (2, 6, 9, 8))
    plan = [{**MALIS, "kwargs": {"malis_crop_size": [3, 4, 5], "reduction": "mean"}}]
    whole = client.compute(
        plan,
        logits.detach(),
        target,
        mask,
        label_mask,
        gt_seg,
        malis_crop_origin=(1, 2, 3),
        float32_gradients=True,
    )
    shapes: list[tuple[int, ...]] = []
    compute = client.compute

    def watched(plan: lossd.Plan, outputs: dict[str, Tensor], **rest: Any) -> lossd.Result:
        shapes.append(tuple(outputs["output"].shape))
        return compute(plan, outputs, **rest)

    monkeypatch.setattr(client, "compute", watched)
    criterion = lossd.torch.RemoteLoss(client, plan)
    loss, logs = criterion(logits, target, mask, label_mask, gt_seg, malis_crop_origin=(1, 2, 3))
    assert shapes == [(2, 3, 3, 4, 5)]
    assert logs == whole.logs
    assert criterion.last_result is not None
    assert criterion.last_result.terms[0].malis_crop_origin == (1, 2, 3)
    (gradient,) = gradient_of(loss, logits)
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient, torch.as_tensor(whole.gradients["output"]).to(dtype))
    # What does not fit is the server's to refuse, and sent whole.
    with pytest.raises(lossd.InvalidArgumentError, match="malis_crop"):
        criterion(logits, target, malis_crop_origin=(4, 0, 0))
    with pytest.raises(lossd.InvalidArgumentError, match=r"gt_seg.*\[2, 2, 6, 9, 8\]"):
        criterion(logits, target, gt_seg=torch.ones(2, 2, 6, 9, 8, dtype=torch.int64))
    with pytest.raises(lossd.InvalidArgumentError, match=r"label_mask.*\[2, 1, 6, 9, 8\]"):
        criterion(logits, target, label_mask=label_mask[:, :1])
    with pytest.raises(lossd.InvalidArgumentError, match=r"mask.*\[2, 6, 9, 8\]"):
        criterion(logits, target, mask=mask[:, 0])
    assert shapes[1:] == [(2, 3, 6, 9, 8)] * 4


def test_gradnorm_is_not_for_a_loss_without_parameters(client: lossd.Client) -> None:
    logits, target = batch()
    plan = {"losses": [BCE, MSE], "loss_balancing": {"strategy": "gradnorm"}}
    with pytest.raises(lossd.InvalidArgumentError, match="RemoteLossOrchestrator") as caught:
        lossd.torch.RemoteLoss(client, plan)(logits, target)
    assert caught.value.field == "loss_balancing.strategy"


@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize("with_mask", [True, False])
@pytest.mark.parametrize("with_gt_seg", [True, False])
@pytest.mark.parametrize("crop_size", [None, (3, 4, 5)])
def test_remote_malis_loss(
    client: lossd.Client,
    reduction: lossd.torch.Reduction,
    sigmoid: bool,
    with_mask: bool,
    with_gt_seg: bool,
    crop_size: tuple[int, int, int] | None,
) -> None:
    nhood = [(1, 0, 0), (0, 2, 0), (0, 0, -1)]
    logits, target = batch(shape=(2, 3, 4, 6, 5))
    pred = logits if sigmoid else (4 * logits.detach()).requires_grad_()
    mask = (torch.rand(2, 1, 4, 6, 5) > 0.2).float() if with_mask else None
    gt_seg = torch.randint(0, 4, (2, 4, 6, 5)) if with_gt_seg else None
    criterion = lossd.torch.RemoteMalisLoss(
        nhood, reduction=reduction, sigmoid=sigmoid, malis_crop_size=crop_size, client=client
    )
    torch.manual_seed(3)
    loss = criterion(pred, target, mask=mask, gt_seg=gt_seg)

    torch.manual_seed(3)
    crop = (...,) if crop_size is None else oracle.draw_crop((4, 6, 5), crop_size)
    loss_map = oracle.malis_map(
        (pred.sigmoid() if sigmoid else pred)[crop],
        target[crop],
        None if gt_seg is None else gt_seg[crop],
        None if mask is None else mask[crop],
        nhood,
    )
    expected = {"sum": loss_map.sum(), "mean": loss_map.mean(), "none": loss_map}[reduction]
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-7)
    upstream = torch.rand_like(expected)
    (gradient,) = torch.autograd.grad(loss, pred, upstream)
    (wanted,) = torch.autograd.grad(expected, pred, upstream)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "arguments",
    [
        {"reduction": "max"},
        {"malis_crop_size": 0},
        {"malis_crop_size": (3, 4)},
        {"malis_crop_size": 2.5},
        {"malis_crop_size": "foo"},
        {"malis_crop_size": True},
        {"malis_crop_size": (True, 4, 4)},
        {"malis_num_workers": 0},
        {"nhood": [[1, 0], [0, 1]]},
        {"nhood": []},
        {"malis_num_workers": 1.5},
    ],
)
def test_remote_malis_loss_refuses_bad_arguments(
    client: lossd.Client, arguments: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        lossd.torch.RemoteMalisLoss(client=client, **arguments)  # type: ignore[arg-type]


def test_remote_malis_loss_refuses_shapes_that_do_not_fit(client: lossd.Client) -> None:
    logits, target = batch()
    criterion = lossd.torch.RemoteMalisLoss(client=client)
    with pytest.raises(ValueError, match="target"):
        criterion(logits, target[:, :2])
    with pytest.raises(NotImplementedError):
        criterion(logits[:, :, 0], target[:, :, 0])
    with pytest.raises(ValueError, match="mask"):
        criterion(logits, target, mask=torch.ones(2, 2, 4, 6, 5))
    cropped = lossd.torch.RemoteMalisLoss(malis_crop_size=3, client=client)
    for loss in (criterion, cropped):
        with pytest.raises(ValueError, match="gt_seg"):
            loss(logits, target, gt_seg=torch.ones(2, 5, 6, 5, dtype=torch.int64))
        with pytest.raises(ValueError, match=r"gt_seg.*\(4, 6, 5\)"):
            loss(logits, target, gt_seg=torch.ones(4, 6, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="malis_crop_size"):
        lossd.torch.RemoteMalisLoss(malis_crop_size=7, client=client)(logits, target)
    with pytest.raises(ValueError, match="nhood"):
        lossd.torch.RemoteMalisLoss([(1, 0, 0)], client=client)(logits, target)


def test_remote_malis_loss_takes_what_the_original_takes(client: lossd.Client) -> None:
    logits, target = batch()
    segmentation = np.random.default_rng(0).integers(0, 3, (2, 4, 6, 5)).astype(np.uint64)
    mask = torch.rand(2, 4, 6, 5) > 0.3
    criterion = lossd.torch.RemoteMalisLoss(
        -np.eye(3), malis_crop_size=OmegaConf.create([4, 6, 5]), malis_num_workers=2, client=client
    )
    assert criterion.malis_crop_size == (4, 6, 5)
    loss = criterion(logits, target.to(torch.float16), mask=mask, gt_seg=segmentation)
    expected = oracle.malis_map(
        logits.sigmoid(), target, torch.from_numpy(segmentation.astype(np.int64)), mask[:, None]
    )
    torch.testing.assert_close(loss, expected.sum())


def test_segmentations_may_be_floats(client: lossd.Client) -> None:
    logits, target = batch()
    segmentation = torch.randint(0, 3, (2, 4, 6, 5))
    malis = lossd.torch.RemoteMalisLoss(client=client)
    whole = lossd.torch.RemoteLoss(client, [MALIS])
    expected = malis(logits, target, gt_seg=segmentation)
    for floats in (segmentation.float(), segmentation.double().numpy()):
        assert malis(logits, target, gt_seg=floats).item() == expected.item()
    ids = whole(logits, target, gt_seg=segmentation)[0]
    assert whole(logits, target, gt_seg=segmentation.float())[0].item() == ids.item()
    with pytest.raises(ValueError, match="gt_seg"):
        malis(logits, target, gt_seg=segmentation.float().log())


def test_a_module_with_a_client_can_be_copied(client: lossd.Client) -> None:
    logits, target = batch()
    twin = copy.deepcopy(lossd.torch.RemoteMalisLoss(client=client))
    torch.testing.assert_close(twin(logits, target), oracle.malis_loss(logits, target))


def test_going_back_twice_adds_up(client: lossd.Client) -> None:
    logits, target = batch()
    loss, _ = lossd.torch.RemoteLoss(client, [BCE])(logits, target)
    loss.backward(retain_graph=True)
    assert logits.grad is not None
    once = logits.grad.clone()
    loss.backward()
    assert torch.equal(logits.grad, 2 * once)

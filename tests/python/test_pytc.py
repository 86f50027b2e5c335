"""The drop-in for PyTorch Connectomics, against the same losses and balancing in local PyTorch."""

from __future__ import annotations

import copy
import dataclasses
from types import SimpleNamespace
from typing import Any

import oracle
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

import lossd
import lossd.pytc

LOSSES = [
    {"function": "PerChannelBCEWithLogitsLoss", "weight": 1.5},
    {"function": "WeightedMSELoss", "weight": 2.0, "pred_slice": "0:2", "target_slice": "0:2"},
]


def config(losses: list[dict[str, Any]] | None = None, **model: Any) -> SimpleNamespace:
    """A training config as PyTorch Connectomics has it."""
    loss = SimpleNamespace(
        deep_supervision=True,
        deep_supervision_weights=model.pop("deep_supervision_weights", None),
        deep_supervision_clamp_min=-20.0,
        deep_supervision_clamp_max=20.0,
        loss_balancing=model.pop("loss_balancing", None),
        losses=losses or LOSSES,
    )
    return SimpleNamespace(model=SimpleNamespace(loss=loss, **model), data=SimpleNamespace())


def batch(shape: tuple[int, ...] = (2, 3, 4, 6, 5)) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(shape, requires_grad=True), (torch.rand(shape) > 0.4).float()


def local_terms(logits: Tensor, target: Tensor) -> list[Tensor]:
    """The weighted losses of LOSSES."""
    mse = oracle.balanced_mse(logits[:, :2], target[:, :2])
    return [1.5 * oracle.per_channel_bce(logits, target), 2 * mse]


def test_standard_loss(client: lossd.Client) -> None:
    logits, target = batch()
    orchestrator = lossd.pytc.RemoteLossOrchestrator(config(), client=client)
    loss, logs = orchestrator.compute_standard_loss(outputs=logits, labels=target, stage="val")
    first, second = terms = local_terms(logits, target)
    torch.testing.assert_close(loss, first + second)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits), torch.autograd.grad(first + second, logits)
    )
    expected = {"val_loss_total": float((first + second).detach())}
    for name, coefficient, term in zip(("term_0", "term_1"), (1.5, 2.0), terms, strict=True):
        value = float(term.detach())
        expected[f"val_loss_{name}_raw"] = value / coefficient
        expected[f"val_loss_{name}_coef"] = coefficient
        expected[f"val_loss_{name}_weighted"] = value
    assert logs == pytest.approx(expected, rel=1e-5)


@dataclasses.dataclass
class LossSection:
    losses: list[dict[str, Any]]
    deep_supervision_weights: list[float] | None = None


@dataclasses.dataclass
class ModelSection:
    loss: LossSection


@pytest.mark.parametrize(
    "cfg",
    [
        config(),
        {"model": {"loss": {"losses": LOSSES}}},
        SimpleNamespace(model=ModelSection(LossSection(LOSSES))),
        OmegaConf.create(
            {
                "scale": 2.0,
                "model": {"loss": {"losses": [LOSSES[0], {**LOSSES[1], "weight": "${scale}"}]}},
            }
        ),
    ],
    ids=["namespace", "mapping", "dataclass", "omegaconf"],
)
def test_any_kind_of_config(client: lossd.Client, cfg: Any) -> None:
    logits, target = batch()
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
    loss, _ = orchestrator.compute_standard_loss({"output": logits, "ds_1": None}, target)
    torch.testing.assert_close(loss, sum(local_terms(logits, target)))


def test_bad_configs_are_refused_at_once(client: lossd.Client) -> None:
    with pytest.raises(ValueError, match=r"model\.loss"):
        lossd.pytc.RemoteLossOrchestrator({"model": {}}, client=client)
    with pytest.raises(lossd.InvalidArgumentError) as caught:
        lossd.pytc.RemoteLossOrchestrator(
            config([{"function": "DiceLoss", "wieght": 1}]), client=client
        )
    assert caught.value.field == "losses[0].wieght"


def test_masks_and_segmentation_reach_the_losses(client: lossd.Client) -> None:
    logits, target = batch()
    known = torch.rand_like(target) > 0.2
    segmentation = torch.randint(0, 3, (2, 4, 6, 5))
    mask = torch.ones(2, 1, 4, 6, 5)
    mask[..., 0] = 0
    orchestrator = lossd.pytc.RemoteLossOrchestrator(
        config([{"function": "MalisLoss"}]), client=client
    )
    loss, _ = orchestrator.compute_standard_loss(
        logits, target, mask=mask, target_mask=known, gt_seg=segmentation
    )
    expected = oracle.malis_map(logits.sigmoid(), target * known, segmentation, known * mask).sum()
    torch.testing.assert_close(loss, expected)


def test_named_heads(client: lossd.Client) -> None:
    logits, target = batch()
    heads = {"aff": {"out_channels": 2, "num_blocks": 1, "target_slice": "0:2"}, "sdt": {}}
    losses = [
        {"function": "PerChannelBCEWithLogitsLoss"},
        {"function": "WeightedMSELoss", "pred_head": "sdt", "target_slice": "2:3"},
    ]
    cfg = config(losses, heads=heads, primary_head="aff")
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
    affinities, distance = logits[:, :2], logits[:, 2:]
    loss, _ = orchestrator.compute_standard_loss(
        {"output": {"aff": affinities, "sdt": distance, "of no term": torch.zeros(1)}}, target
    )
    expected = oracle.per_channel_bce(affinities, target[:, :2]) + oracle.balanced_mse(
        distance, target[:, 2:]
    )
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits)
    )


def test_a_lone_head_needs_no_name_in_the_config(client: lossd.Client) -> None:
    logits, target = batch()
    orchestrator = lossd.pytc.RemoteLossOrchestrator(config(), client=client)
    lone, _ = orchestrator.compute_standard_loss({"aff": logits}, target)
    torch.testing.assert_close(lone, sum(local_terms(logits, target)))


def scales() -> tuple[dict[str, Tensor], Tensor, list[Tensor]]:
    """Outputs at two scales, the labels, and the labels at each scale."""
    outputs, target = batch((1, 3, 4, 8, 8))
    coarse = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    resized = nn.functional.interpolate(target, size=(2, 4, 4), mode="trilinear")
    return {"output": outputs, "ds_1": coarse}, target, [target, resized]


def test_deep_supervision(client: lossd.Client) -> None:
    outputs, target, targets = scales()
    cfg = config(deep_supervision_weights=[1.0, 0.3])
    loss, logs = lossd.pytc.RemoteLossOrchestrator(
        cfg, client=client
    ).compute_deep_supervision_loss(outputs, target, gt_seg=torch.zeros(1))
    at_scale = [
        torch.stack(local_terms(logits, labels)).sum()
        for logits, labels in zip(outputs.values(), targets, strict=True)
    ]
    torch.testing.assert_close(loss, at_scale[0] + 0.3 * at_scale[1])
    assert logs["train_loss_scale_1"] == pytest.approx(at_scale[1].item(), rel=1e-5)
    assert "train_loss_scale_1_term_1_raw" in logs
    loss.backward()
    assert all(logits.grad is not None for logits in outputs.values())


def test_deep_supervision_of_named_heads(client: lossd.Client) -> None:
    outputs, target, targets = scales()
    fine, coarse = outputs["output"], outputs["ds_1"]
    main = {"aff": fine, "extra": fine.detach()}
    cfg = config(LOSSES[:1], heads={"aff": {}, "extra": {}}, primary_head="aff")
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
    loss, _ = orchestrator.compute_deep_supervision_loss({"output": main, "ds_1": coarse}, target)
    at_scale = [
        1.5 * oracle.per_channel_bce(logits, labels)
        for logits, labels in zip((fine, coarse), targets, strict=True)
    ]
    torch.testing.assert_close(loss, at_scale[0] + 0.5 * at_scale[1])
    named = {"output": main, "ds_1": {"aff": coarse, "extra": coarse.detach()}}
    same, _ = orchestrator.compute_deep_supervision_loss(named, target)
    assert same.item() == loss.item()
    expected = torch.autograd.grad(loss, (fine, coarse))
    torch.testing.assert_close(torch.autograd.grad(same, (fine, coarse)), expected)


def test_a_head_may_be_named_output(client: lossd.Client) -> None:
    outputs, target, _ = scales()
    cfg = config(LOSSES[:1], heads={"output": {}, "extra": {}}, primary_head="output")
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
    heads = {scale: {"output": of, "extra": of.detach()} for scale, of in outputs.items()}
    loss, _ = orchestrator.compute_deep_supervision_loss(heads, target)
    unnamed = lossd.pytc.RemoteLossOrchestrator(config(LOSSES[:1]), client=client)
    expected, _ = unnamed.compute_deep_supervision_loss(outputs, target)
    assert loss.item() == expected.item()


def test_wrong_heads_are_named(client: lossd.Client) -> None:
    logits, target = batch()
    for term in ({}, {"function": "MalisLoss", "kwargs": {"malis_crop_size": 2}}):
        cfg = config([{**LOSSES[0], **term}], heads={"aff": {}})
        orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
        with pytest.raises(lossd.InvalidArgumentError, match="did you mean aff"):
            orchestrator.compute_standard_loss({"af": logits}, target)
        with pytest.raises(lossd.InvalidArgumentError, match="predictions"):
            orchestrator.compute_standard_loss({}, target)


def test_crops_are_drawn_in_the_order_of_evaluation(client: lossd.Client) -> None:
    def malis(**term: Any) -> dict[str, Any]:
        return {"function": "MalisLoss", "kwargs": {"malis_crop_size": [2, 3, 4]}, **term}

    outputs, target, _ = scales()
    cfg = config([malis(), malis(apply_deep_supervision=False)])
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
    torch.manual_seed(4)
    orchestrator.compute_deep_supervision_loss(outputs, target)
    torch.manual_seed(4)
    volumes = [(4, 8, 8), (4, 8, 8), (2, 4, 4)]
    drawn = [
        tuple(int(torch.randint(0, n - k + 1, (1,))) for n, k in zip(v, (2, 3, 4), strict=True))
        for v in volumes
    ]
    assert orchestrator.last_result is not None
    assert [term.malis_crop_origin for term in orchestrator.last_result.terms] == drawn


class Network(nn.Module):
    """A shared layer and a last one, after which GradNorm measures."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


def balanced_steps(
    client: lossd.Client | None, strategy: str, steps: int
) -> tuple[list[float], list[Tensor]]:
    """The losses of a training with balanced terms, and all that was learned.

    With a client through the orchestrator, without one in local PyTorch.
    """
    torch.manual_seed(0)
    network = Network()
    cfg = config(loss_balancing={"strategy": strategy, "gradnorm_alpha": 0.7})
    weighter = lossd.pytc.build_loss_weighter(cfg, num_tasks=2, model=network)
    assert weighter is not None
    learned = [*network.parameters(), *weighter.parameters()]
    optimizer = torch.optim.SGD(learned, lr=0.05)
    image, (_, target) = torch.randn(2, 1, 4, 6, 5), batch()
    losses = []
    for _ in range(steps):
        if client is None:
            loss = combine_locally(weighter, local_terms(network(image), target))
        else:
            orchestrator = lossd.pytc.RemoteLossOrchestrator(
                cfg, loss_weighter=weighter, client=client
            )
            loss, logs = orchestrator.compute_standard_loss(network(image), target)
            assert logs["train_loss_total"] == pytest.approx(float(loss.detach()), rel=1e-6)
            assert f"train_loss_{strategy}/term_1_weight" in logs
            assert f"train_loss_{strategy}/reg" in logs
            weight = logs["train_loss_term_1_balance_weight"]
            balanced = weight * logs["train_loss_term_1_weighted"]
            assert logs["train_loss_term_1_balanced"] == pytest.approx(balanced)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, [parameter.detach() for parameter in learned]


def combine_locally(weighter: nn.Module, terms: list[Tensor]) -> Tensor:
    if isinstance(weighter, lossd.pytc.UncertaintyLossWeighter):
        s = weighter.log_vars
        return (0.5 * torch.exp(-s) * torch.stack(terms) + 0.5 * s).sum()
    assert isinstance(weighter, lossd.pytc.GradNormLossWeighter)
    total, _, _ = weighter.combine(terms, ["term_0", "term_1"], "train")
    return total


@pytest.mark.parametrize("strategy", ["uncertainty", "gradnorm"])
def test_balanced_training_agrees_with_local(client: lossd.Client, strategy: str) -> None:
    served, ours = balanced_steps(client, strategy, 5)
    local, theirs = balanced_steps(None, strategy, 5)
    assert served == pytest.approx(local, rel=1e-4)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_gradnorm_by_hand() -> None:
    # Two terms on one shared parameter p: G₁ = 3, G₂ = 1, so with equal weights and loss ratios
    # the norms 3 and 1 should both be 2.
    p = nn.Parameter(torch.tensor(2.0))
    weighter = lossd.pytc.GradNormLossWeighter(2, gradnorm_lambda=0.5, shared_parameters=[p])
    total, weights, logs = weighter.combine([3 * p, p], ["a", "b"], "train")
    assert weights.tolist() == pytest.approx([1, 1])
    assert float(total.detach()) == pytest.approx(8 + 0.5 * 1)
    assert logs["train_loss_gradnorm/reg"] == pytest.approx(1)

    # The second term has not improved while the first has halved: it is the slow one.
    with torch.no_grad():
        p.fill_(1.0)
    weighter.combine([3 * p, 2 * p], ["a", "b"], "train")[0].backward()
    gradient = weighter.task_weights.grad
    assert gradient is not None
    assert gradient[1] < gradient[0]

    total, _, logs = weighter.eval().combine([3 * p, p], ["a", "b"], "val")
    assert float(total.detach()) == pytest.approx(4)
    assert set(logs) == {"val_loss_gradnorm/a_weight", "val_loss_gradnorm/b_weight"}


def test_gradnorm_across_scales(client: lossd.Client) -> None:
    outputs, target, targets = scales()
    weighter = lossd.pytc.GradNormLossWeighter(2)
    with torch.no_grad():
        weighter.task_weights.copy_(torch.tensor([0.5, 1.5]))
    orchestrator = lossd.pytc.RemoteLossOrchestrator(
        config(), loss_weighter=weighter, client=client
    )
    loss, logs = orchestrator.compute_deep_supervision_loss(outputs, target)
    at_scale = [
        0.5 * bce + 1.5 * mse
        for bce, mse in (
            local_terms(logits, labels)
            for logits, labels in zip(outputs.values(), targets, strict=True)
        )
    ]
    torch.testing.assert_close(loss, at_scale[0] + 0.5 * at_scale[1], rtol=1e-5, atol=1e-5)
    assert logs["train_loss_scale_1"] == pytest.approx(at_scale[1].item(), rel=1e-5)
    assert logs["train_loss_scale_0_term_1_balance_weight"] == pytest.approx(1.5)


def test_gradnorm_of_terms_for_the_finest_scale_only(client: lossd.Client) -> None:
    outputs, target, targets = scales()
    terms = [LOSSES[0], {**LOSSES[0], "apply_deep_supervision": False}, LOSSES[1]]
    shared = nn.Parameter(torch.ones(()))
    weighter = lossd.pytc.GradNormLossWeighter(3, shared_parameters=[shared])
    with torch.no_grad():
        weighter.task_weights.copy_(torch.tensor([0.5, 1.5, 2.5]))
    orchestrator = lossd.pytc.RemoteLossOrchestrator(
        config(terms), loss_weighter=weighter, client=client
    )
    scaled = {scale: output * shared for scale, output in outputs.items()}
    _, logs = orchestrator.compute_deep_supervision_loss(scaled, target)
    bce, mse = local_terms(outputs["ds_1"], targets[1])
    expected = (2 / 3) * (0.5 * bce + 2.5 * mse)
    balanced = [logs[f"train_loss_scale_1_term_{i}_balanced"] for i in (0, 2)]
    assert sum(balanced) == pytest.approx(expected.item(), rel=1e-5)
    assert weighter.initial_losses is not None
    assert weighter.initial_losses.shape == (3,)
    assert weighter.initial_losses.isfinite().all()

    resumed = lossd.pytc.GradNormLossWeighter(3)
    resumed.load_state_dict(weighter.state_dict())
    assert resumed.initial_losses is not None
    assert resumed.initial_losses.tolist() == weighter.initial_losses.tolist()
    resumed.load_state_dict(lossd.pytc.GradNormLossWeighter(3).state_dict())
    assert resumed.initial_losses is None


@pytest.mark.parametrize("tasks", [1, 3])
def test_weighters_for_another_number_of_terms_are_refused(
    client: lossd.Client, tasks: int
) -> None:
    for weighter in (
        lossd.pytc.GradNormLossWeighter(tasks),
        lossd.pytc.UncertaintyLossWeighter(tasks),
    ):
        with pytest.raises(lossd.InvalidArgumentError, match=f"num_tasks {tasks}, expected 2"):
            lossd.pytc.RemoteLossOrchestrator(config(), loss_weighter=weighter, client=client)
    with pytest.raises(ValueError, match="num_tasks 1"):
        lossd.pytc.GradNormLossWeighter(1).combine([torch.ones(())] * 2, ["a", "b"], "val")


def test_validation_of_balanced_losses_needs_no_gradients(client: lossd.Client) -> None:
    logits, target = batch()
    for weighter in (lossd.pytc.GradNormLossWeighter(2), lossd.pytc.UncertaintyLossWeighter(2)):
        orchestrator = lossd.pytc.RemoteLossOrchestrator(
            config(), loss_weighter=weighter, client=client
        )
        with torch.no_grad():
            loss, logs = orchestrator.compute_standard_loss(logits, target, stage="val")
        assert not loss.requires_grad
        assert logs["val_loss_total"] == pytest.approx(float(loss))


@pytest.mark.parametrize(
    ("balancing", "kind"),
    [
        (None, type(None)),
        ({"strategy": None}, type(None)),
        ({"strategy": "none"}, type(None)),
        ({"strategy": "Uncertainty"}, lossd.pytc.UncertaintyLossWeighter),
        ({"strategy": "gradnorm", "gradnorm_alpha": 0.3}, lossd.pytc.GradNormLossWeighter),
    ],
)
def test_weighters_are_built_from_the_config(balancing: Any, kind: type) -> None:
    cfg = config(loss_balancing=balancing)
    weighter = lossd.pytc.build_loss_weighter(cfg, 2, Network())
    assert isinstance(weighter, kind)
    if isinstance(weighter, lossd.pytc.GradNormLossWeighter):
        assert weighter.alpha == 0.3
        assert [tuple(p.shape) for p in weighter.shared_parameters] == [(3,)]


def test_balancing_may_stand_where_older_configs_have_it(client: lossd.Client) -> None:
    cfg = config()
    cfg.model.loss.strategy = "gradnorm"
    cfg.model.loss.gradnorm_alpha = 0.3
    weighter = lossd.pytc.build_loss_weighter(cfg, 2, Network())
    assert isinstance(weighter, lossd.pytc.GradNormLossWeighter)
    assert weighter.alpha == 0.3
    logits, target = batch()
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, loss_weighter=weighter, client=client)
    _, logs = orchestrator.compute_standard_loss(logits, target, stage="val")
    assert "val_loss_gradnorm/term_1_weight" in logs


def test_unknown_balancing_is_refused() -> None:
    with pytest.raises(ValueError, match="dwa"):
        lossd.pytc.build_loss_weighter(config(loss_balancing={"strategy": "dwa"}), 2)


def test_weighters_learn_under_the_original_names() -> None:
    assert set(lossd.pytc.UncertaintyLossWeighter(2).state_dict()) == {"log_vars"}
    weighter = lossd.pytc.GradNormLossWeighter(2)
    assert set(copy.deepcopy(weighter).state_dict()) == {"task_weights"}

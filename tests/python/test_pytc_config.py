"""What the drop-in makes of a config, and of loss modules, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import monai.losses
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

import lossd
import lossd.pytc
from lossd.loss_table import loss_table
from lossd.pytc.affinity import affinity_layout
from lossd.pytc.modules import kwargs_of
from lossd.pytc.terms import LossTermSpec, channel_range


def specs(cfg: Any, *modules: nn.Module, **arguments: Any) -> list[LossTermSpec]:
    return lossd.pytc.RemoteLossOrchestrator(cfg, modules, **arguments).loss_term_specs


def of_losses(*losses: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {"model": {"loss": {"losses": list(losses)}, **model}}


def test_terms_are_known_from_names() -> None:
    cfg = of_losses({"function": "L1Loss"}, {"function": "MSELoss"})
    assert [spec.call_kind for spec in specs(cfg)] == ["pred_target"] * 2
    assert specs(OmegaConf.create(cfg)) == specs(cfg)


def test_a_term_has_what_the_original_has() -> None:
    cfg = of_losses(
        {"function": "WeightedMSELoss", "pred": " 1 : ", "weight": "2", "pos_weight": "Auto"},
        {"function": "CrossEntropyLoss", "pred_head": "b", "coefficient": 3, "weight": 4},
        {
            "function": "ForegroundDistanceConsistency",
            "pred_slice": "0",
            "pred2": -1,
            "spatial_weight_arg": None,
            "apply_deep_supervision": False,
        },
        heads={"a": {"target_slice": "0:2"}, "b": {}},
        primary_head="a",
    )
    assert specs(cfg) == [
        LossTermSpec(
            "term_0",
            0,
            2.0,
            "pred_target",
            "dense",
            pred_slice="1:",
            target_slice="0:2",
            spatial_weight_arg="weight",
            pos_weight="auto",
        ),
        LossTermSpec("term_1", 1, 3.0, "pred_target", "class_index", pred_head="b"),
        LossTermSpec(
            "term_2",
            2,
            1.0,
            "pred_pred",
            "none",
            pred_slice=0,
            pred2_slice=-1,
            apply_deep_supervision=False,
        ),
    ]
    plain = specs(of_losses({"function": "PerChannelBCEWithLogitsLoss"}))
    assert plain[0].pos_weight == 1.0
    assert specs(of_losses({"function": "MSELoss"}), loss_weights=[0.5])[0].coefficient == 0.5


@pytest.mark.parametrize(
    ("term", "field"),
    [
        ({"function": "L1Los"}, "losses[0].function"),
        ({}, "losses[0].function"),
        ({"function": "GANLoss"}, "losses[0].function"),
        ({"function": "L1Loss", "wieght": 1}, "losses[0].wieght"),
        ({"function": "L1Loss", "weight": "heavy"}, "losses[0].weight"),
        ({"function": "L1Loss", "pred": "0:2:1"}, "losses[0].pred"),
        ({"function": "L1Loss", "pred_head": "aff"}, "losses[0].pred_head"),
        ({"function": "L1Loss", "pos_weight": 2}, "losses[0].pos_weight"),
        ({"function": "SmoothL1Loss", "pos_weight": 0}, "losses[0].pos_weight"),
        ({"function": "L1Loss", "call": "twice"}, "losses[0].call"),
        ({"function": "BinaryRegularization"}, "losses[0].pred_slice"),
        ({"function": "ContourDistanceConsistency", "pred": 0}, "losses[0].pred2_slice"),
        ("L1Loss", "losses[0]"),
    ],
)
def test_mistakes_are_value_errors_with_their_field(term: Any, field: str) -> None:
    with pytest.raises(ValueError, match=r"^losses\[0\]") as caught:
        specs(of_losses(term))
    assert isinstance(caught.value, lossd.InvalidArgumentError)
    assert caught.value.field == field


def test_configs_without_terms_are_refused() -> None:
    two_heads = of_losses({"function": "L1Loss"}, heads={"a": {}, "b": {}})
    two_modules = (nn.L1Loss(), nn.L1Loss())
    for cfg, modules, match in (
        ({"model": {}}, (), r"model\.loss"),
        (of_losses(), (), r"model\.loss\.losses"),
        (two_heads, (), "primary_head"),
        (of_losses({"function": "L1Loss"}), two_modules, "loss_functions: got 2, expected 1"),
    ):
        with pytest.raises(ValueError, match=match):
            specs(cfg, *modules)


@pytest.mark.parametrize(
    ("selector", "channels"),
    [(None, (0, 4)), (-1, (3, 4)), ("1:", (1, 4)), (":-2", (0, 2)), (4, None), ("3:1", None)],
)
def test_channels_by_pythons_rules(selector: Any, channels: Any) -> None:
    assert channel_range(selector, 4) == channels


# Untyped, it exports nothing by mypy's rules.
MONAI: Any = monai.losses
WEIGHT = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0)), {"pos_weight": 2.0}),
        (nn.CrossEntropyLoss(WEIGHT, ignore_index=3), {"weight": [1, 2, 3], "ignore_index": 3}),
        (MONAI.DiceLoss(jaccard=True, smooth_nr=0.5), {"jaccard": True, "smooth_nr": 0.5}),
        (
            MONAI.DiceCELoss(weight=WEIGHT, include_background=False, reduction="sum"),
            {"weight": [1, 2, 3], "include_background": False, "reduction": "sum"},
        ),
        (
            MONAI.DiceFocalLoss(weight=[1, 2, 3], include_background=False, gamma=1.5),
            {"weight": [1, 2, 3], "include_background": False, "gamma": 1.5},
        ),
        (MONAI.GeneralizedDiceLoss(w_type="simple"), {"w_type": "simple"}),
        (MONAI.TverskyLoss(alpha=0.3, batch=True), {"alpha": 0.3, "batch": True}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_modules_tell_how_they_were_built(module: nn.Module, expected: dict[str, Any]) -> None:
    name = type(module).__name__
    defaults = {k: v for k, v in loss_table()[name].options.items() if v is not None}
    assert kwargs_of(module, name, "losses[0]") == defaults | expected


class SmoothL1Loss(nn.Module):
    """As PyTorch Connectomics has it, but for the computation."""

    def __init__(self) -> None:
        super().__init__()
        self.beta, self.reduction, self.tanh = 0.25, "sum", True


def test_modules_stand_in_for_what_a_config_leaves_out(client: lossd.Client) -> None:
    cfg = of_losses({"pred_slice": "0:1", "target_slice": "0:1"}, {"weight": 0.5})
    named = of_losses(
        {
            "function": "SmoothL1Loss",
            "pred_slice": "0:1",
            "target_slice": "0:1",
            "kwargs": {"beta": 0.25, "reduction": "sum", "tanh": True},
        },
        {"function": "MSELoss", "weight": 0.5},
    )
    metadata = [SimpleNamespace(name="SmoothL1Loss"), SimpleNamespace(name="MSELoss")]
    modules = nn.ModuleList([SmoothL1Loss(), nn.MSELoss()])
    logits, target = torch.randn(1, 2, 4, 5), torch.rand(1, 2, 4, 5)
    losses = [
        lossd.pytc.RemoteLossOrchestrator(*arguments, client=client).compute_standard_loss(
            logits, target
        )[0]
        for arguments in (
            (cfg, modules, [1.0, 1.0], True, True, None, metadata),
            (cfg, modules),
            (named,),
        )
    ]
    assert losses[0] == losses[1] == losses[2]


def test_modules_that_no_server_computes_are_refused() -> None:
    with pytest.raises(ValueError, match="HuberLoss"):
        specs(of_losses({}), nn.HuberLoss())
    squashed = MONAI.DiceLoss(other_act=torch.tanh)
    with pytest.raises(ValueError, match=r"other_act.*sigmoid or softmax"):
        specs(of_losses({}), squashed)


def test_a_weighted_bce_keeps_the_pos_weight_it_was_built_with(client: lossd.Client) -> None:
    module = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([4.0]))
    term = {"function": "WeightedBCEWithLogitsLoss", "kwargs": {"pos_weight": 2.0}}
    logits, target = torch.randn(1, 1, 4, 5), (torch.rand(1, 1, 4, 5) > 0.5).float()
    orchestrator = lossd.pytc.RemoteLossOrchestrator(of_losses(term), [module], client=client)
    torch.testing.assert_close(
        orchestrator.compute_standard_loss(logits, target)[0], module(logits, target)
    )


def label_transform(*targets: Any, **rest: Any) -> dict[str, Any]:
    return {"data": {"label_transform": {"targets": list(targets), **rest}}}


def affinity(**kwargs: Any) -> dict[str, Any]:
    return {"name": "affinity", "kwargs": {"affinity_mode": "deepem", **kwargs}}


@pytest.mark.parametrize(
    ("targets", "groups"),
    [
        (["binary", affinity()], [(1, 4)]),
        ([affinity(offsets=["1-0-0", "0-1-0"]), {"name": "sdt"}], [(0, 2)]),
        ([{"name": "polarity"}, affinity(long_range=9)], [(3, 9)]),
        ([{"task": "polarity", "kwargs": {"exclusive": True}}, affinity()], [(1, 4)]),
        (["binary", {"type": "boundary"}], []),
    ],
)
def test_affinities_are_found_among_the_labels(targets: Any, groups: Any) -> None:
    for cfg in (label_transform(*targets), OmegaConf.create(label_transform(*targets))):
        assert list(affinity_layout(cfg).groups) == groups
    assert not affinity_layout(label_transform(*targets, stack_outputs=False)).groups


@pytest.mark.parametrize(
    "targets",
    [["affinity"], [affinity(affinity_mode="x")], [affinity(), affinity(affinity_mode="banis")]],
)
def test_affinities_need_one_mode(targets: Any) -> None:
    with pytest.raises(ValueError, match="mode"):
        specs(of_losses({"function": "L1Loss"}) | label_transform(*targets))


def test_terms_of_affinities_need_a_label_mask(client: lossd.Client) -> None:
    cfg = of_losses(
        {"function": "WeightedMSELoss", "pred": "0:1", "target": "0:1"},
        {"function": "PerChannelBCEWithLogitsLoss", "pred": "-2:", "target": "-2:"},
    ) | label_transform("sdt", affinity())
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, client=client)
    assert orchestrator.affinity_mode == "deepem"
    assert orchestrator.affinity_channel_groups == [(1, 4)]
    logits = torch.randn(1, 4, 4, 6, 5)
    labels = (torch.rand_like(logits) > 0.5).float()
    for compute in (
        orchestrator.compute_standard_loss,
        orchestrator.compute_deep_supervision_loss,
    ):
        with pytest.raises(ValueError, match=r"losses\[1\] is of affinities") as caught:
            compute({"output": logits}, labels)
        assert isinstance(caught.value, lossd.InvalidArgumentError)
        assert caught.value.field == "label_mask"
    everywhere = torch.ones_like(labels, dtype=torch.bool)
    assert orchestrator.compute_standard_loss(logits, labels, target_mask=everywhere)[0] > 0
    without = of_losses(cfg["model"]["loss"]["losses"][0]) | {"data": cfg["data"]}
    only_distance = lossd.pytc.RemoteLossOrchestrator(without, client=client)
    assert only_distance.compute_standard_loss(logits, labels)[0] > 0


def test_what_is_asked_of_the_original_may_be_asked_of_others() -> None:
    orchestrator = lossd.pytc.RemoteLossOrchestrator(
        of_losses({"function": "L1Loss"}) | label_transform(affinity()),
        resolve_affinity_mode_fn=lambda _: "banis",
        resolve_affinity_channel_groups_fn=lambda _: [((2, 4), [(1, 0, 0), (0, 1, 0)])],
    )
    assert orchestrator.affinity_mode == "banis"
    assert orchestrator.affinity_channel_groups == [(2, 4)]
    none = lossd.pytc.RemoteLossOrchestrator(
        of_losses({"function": "L1Loss"}) | label_transform(affinity()),
        resolve_affinity_mode_fn=lambda _: None,
    )
    assert none.affinity_channel_groups == []


class Original:
    """A namespace for the original's class of that name."""

    class UncertaintyLossWeighter(nn.Module):  # noqa: D106
        def __init__(self) -> None:
            super().__init__()
            self.log_vars = nn.Parameter(torch.tensor([0.5, -0.25]))


def test_the_originals_uncertainty_weighter_is_left_to_the_server(
    client: lossd.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = of_losses({"function": "L1Loss"}, {"function": "MSELoss"})
    logits = torch.randn(1, 2, 4, 5, requires_grad=True)
    target = torch.rand(1, 2, 4, 5)
    asked: list[bool] = []
    compute = client.compute

    def watched(*arguments: Any, **rest: Any) -> lossd.Result:
        asked.append(rest["per_term_gradients"])
        return compute(*arguments, **rest)

    monkeypatch.setattr(client, "compute", watched)
    weighter = Original.UncertaintyLossWeighter()
    orchestrator = lossd.pytc.RemoteLossOrchestrator(cfg, loss_weighter=weighter, client=client)
    loss, logs = orchestrator.compute_standard_loss(logits, target)

    local = lossd.pytc.UncertaintyLossWeighter(2)
    local.load_state_dict(weighter.state_dict())
    terms: list[Tensor] = [(logits - target).abs().mean(), ((logits - target) ** 2).mean()]
    total, shares, expected = local.combine(terms, ["term_0", "term_1"], "train")
    assert asked == [False]
    torch.testing.assert_close(loss, total)
    for key, value in expected.items():
        assert logs[key] == pytest.approx(value, rel=1e-5)
    assert logs["train_loss_term_0_balance_weight"] == pytest.approx(float(shares[0]))
    served = torch.autograd.grad(loss, [logits, weighter.log_vars])
    torch.testing.assert_close(served, torch.autograd.grad(total, [logits, local.log_vars]))


@pytest.mark.parametrize("outputs", [[], ()])
def test_lists_of_outputs_are_refused(client: lossd.Client, outputs: Any) -> None:
    orchestrator = lossd.pytc.RemoteLossOrchestrator(
        of_losses({"function": "L1Loss"}), client=client
    )
    outputs = type(outputs)([torch.ones(1, 1, 4, 4)])
    with pytest.raises(lossd.InvalidArgumentError, match=r"outputs: got (list|tuple)"):
        orchestrator.compute_standard_loss(outputs, torch.ones(1, 1, 4, 4))


def test_the_table_of_losses_is_the_servers(client: lossd.Client) -> None:
    table = loss_table()
    served = {info.name: info for info in client.losses()}
    assert list(table) == list(served)
    for name, info in served.items():
        kinds = table[name]
        assert (kinds.call_kind, kinds.target_kind) == (info.call_kind, info.target_kind)
        assert (kinds.spatial_weight_arg or "none") == info.spatial_weight_arg
        assert (kinds.takes_gt_seg, kinds.usable_in_plan) == (
            info.takes_gt_seg,
            info.usable_in_plan,
        )
        assert list(kinds.options) == [option.name for option in info.options]

"""PyTorch Connectomics itself, where it is installed: its orchestrator and the drop-in agree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossd
import lossd.pytc

training = pytest.importorskip(
    "connectomics.training.losses",
    reason="PyTorch Connectomics is not installed (PyPI does not have it), so it is not compared",
)

LOSSES: list[list[dict[str, Any]]] = [
    [{"function": "PerChannelBCEWithLogitsLoss"}, {"function": "DiceLoss", "weight": 0.5}],
    [{"function": "WeightedMSELoss", "pred_slice": "1:", "target_slice": "1:"}],
    [
        {"function": "WeightedBCEWithLogitsLoss", "pos_weight": "auto"},
        {"function": "SmoothL1Loss", "kwargs": {"tanh": True}, "mask_slice": "0:1"},
        {"function": "BinaryRegularization", "pred_slice": "0:1", "weight": 0.1},
    ],
]


def config(losses: list[dict[str, Any]], targets: list[Any]) -> SimpleNamespace:
    loss = SimpleNamespace(
        losses=losses,
        deep_supervision_weights=None,
        deep_supervision_clamp_min=-20.0,
        deep_supervision_clamp_max=20.0,
    )
    return SimpleNamespace(
        model=SimpleNamespace(loss=loss, heads={}, primary_head=None),
        data=SimpleNamespace(label_transform=SimpleNamespace(targets=targets, stack_outputs=True)),
    )


def both(
    client: lossd.Client, losses: list[dict[str, Any]], targets: list[Any], **arguments: Any
) -> list[Any]:
    """The original's orchestrator and ours, of the same arguments."""
    from connectomics.models.losses import create_loss

    cfg = config(losses, targets)
    modules = nn.ModuleList(create_loss(t["function"], **t.get("kwargs", {})) for t in losses)
    weights = [t.get("weight", 1.0) for t in losses]
    original = training.LossOrchestrator(cfg, modules, weights, **arguments)
    ours = lossd.pytc.RemoteLossOrchestrator(cfg, modules, weights, client=client, **arguments)
    return [original, ours]


def batch() -> tuple[dict[str, Tensor], Tensor, Tensor]:
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 3, 2, 4, 4)
    outputs = {"output": fine.requires_grad_(), "ds_1": coarse.requires_grad_()}
    return outputs, (torch.rand(2, 3, 4, 8, 8) > 0.5).float(), torch.rand(1, 1, 4, 8, 8) > 0.3


@pytest.mark.parametrize("losses", LOSSES, ids=range(len(LOSSES)))
@pytest.mark.parametrize("mode", ["standard", "deep_supervision"])
def test_they_agree(client: lossd.Client, losses: list[dict[str, Any]], mode: str) -> None:
    outputs, labels, mask = batch()
    results = []
    for orchestrator in both(client, losses, []):
        compute = getattr(orchestrator, f"compute_{mode}_loss")
        loss, logs = compute(outputs, labels, mask=mask.float())
        found = torch.autograd.grad(loss, list(outputs.values()), allow_unused=True)
        results.append((loss.detach(), logs, [g for g in found if g is not None]))
    (loss, logs, gradients), (our_loss, our_logs, our_gradients) = results
    torch.testing.assert_close(our_loss, loss)
    assert our_logs == pytest.approx(logs, rel=1e-5)
    torch.testing.assert_close(our_gradients, gradients, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("losses", LOSSES, ids=range(len(LOSSES)))
def test_their_terms_are_the_same(client: lossd.Client, losses: list[dict[str, Any]]) -> None:
    original, ours = (o.loss_term_specs for o in both(client, losses, []))
    assert [vars(spec) for spec in ours] == [vars(spec) for spec in original]


def test_both_want_a_label_mask_for_affinities(client: lossd.Client) -> None:
    targets = [{"name": "affinity", "kwargs": {"affinity_mode": "banis"}}]
    outputs, labels, _ = batch()
    for orchestrator in both(client, LOSSES[0], targets):
        with pytest.raises(ValueError, match="label_mask"):
            orchestrator.compute_standard_loss(outputs, labels)


def test_both_give_nan_without_nan_detection(client: lossd.Client) -> None:
    outputs, labels, _ = batch()
    broken = outputs["output"].detach().clone()
    broken[0, 1, 2, 3, 4] = torch.nan
    broken.requires_grad_()
    gradients = []
    for orchestrator in both(client, LOSSES[0], [], enable_nan_detection=False):
        loss, _ = orchestrator.compute_standard_loss(broken, labels)
        assert torch.isnan(loss)
        gradients.append(torch.autograd.grad(loss, broken)[0])
    torch.testing.assert_close(*gradients, equal_nan=True, rtol=1e-4, atol=1e-7)
    for orchestrator in both(client, LOSSES[0], []):
        with pytest.raises(ValueError, match="term_0"):
            orchestrator.compute_standard_loss(broken, labels)


def test_its_module_trains_after_one_line(
    client: lossd.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightning = pytest.importorskip("connectomics.training.lightning")
    from connectomics.config import Config

    def module() -> Any:
        cfg = Config()
        cfg.model.loss.losses = [{"function": "DiceLoss"}, {"function": "BCEWithLogitsLoss"}]
        cfg.evaluation.enabled = True
        cfg.evaluation.metrics = ["accuracy"]
        torch.manual_seed(0)
        built = lightning.ConnectomicsModule(cfg, model=nn.Conv3d(1, 1, 3, padding=1))
        for name in ("log", "log_dict"):
            monkeypatch.setattr(built, name, lambda *_, **__: None)
        return built

    images = torch.rand(2, 1, 8, 8, 8)
    steps = {"image": images, "label": (images > 0.5).float()}
    local = module()
    with lossd.pytc.install(client.address):
        served = module()
        assert isinstance(served.loss_orchestrator, lossd.pytc.RemoteLossOrchestrator)
        for step in ("training_step", "validation_step"):
            expected = getattr(local, step)(steps, 0)
            torch.testing.assert_close(getattr(served, step)(steps, 0), expected)

"""The one line that moves PyTorch Connectomics to a server, on a package laid out like it."""

from __future__ import annotations

import importlib
import os
import pathlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

import lossd
import lossd.pytc
import lossd.torch

# Where the original defines what is replaced, and where else it has it.
FILES = {
    "__init__.py": "",
    "training/__init__.py": "from .losses import LossOrchestrator",
    "training/losses/__init__.py": (
        "from .orchestrator import LossOrchestrator\n"
        "from .balancing import build_loss_weighter, UncertaintyLossWeighter"
    ),
    "training/losses/orchestrator.py": "class LossOrchestrator: pass",
    "training/losses/balancing.py": (
        "class UncertaintyLossWeighter: pass\n"
        "class GradNormLossWeighter: pass\n"
        "def build_loss_weighter(): pass"
    ),
    "training/module.py": "from .losses import LossOrchestrator, build_loss_weighter",
    "models/__init__.py": "",
    "models/losses/__init__.py": "from .build import create_loss",
    "models/losses/malis.py": "class MalisLoss: pass",
    "models/losses/build.py": (
        "from .malis import MalisLoss\ndef create_loss(**kwargs): return MalisLoss(**kwargs)"
    ),
}


@pytest.fixture
def package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        path = tmp_path / "connectomics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LOSSD_ADDRESS", raising=False)
    others = {name: module for name, module in sys.modules.items() if _is_original(name)}
    for name in others:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if _is_original(name)]:
        del sys.modules[name]
    sys.modules.update(others)
    sys.modules.pop("lossd.pytc.auto", None)


def _is_original(name: str) -> bool:
    return name.partition(".")[0] == "connectomics"


def of(name: str) -> ModuleType:
    return importlib.import_module(f"connectomics.{name}")


@pytest.mark.usefixtures("package")
def test_everything_is_replaced_and_put_back() -> None:
    original = of("training").LossOrchestrator
    installation = lossd.pytc.install("somewhere:1")
    for name in ("training", "training.losses", "training.losses.orchestrator", "training.module"):
        assert of(name).LossOrchestrator is lossd.pytc.RemoteLossOrchestrator
    assert of("training.losses").UncertaintyLossWeighter is lossd.pytc.UncertaintyLossWeighter
    assert of("training.losses.balancing").GradNormLossWeighter is lossd.pytc.GradNormLossWeighter
    assert of("training.module").build_loss_weighter is lossd.pytc.build_loss_weighter
    assert isinstance(of("models.losses").create_loss(), lossd.torch.RemoteMalisLoss)
    assert os.environ["LOSSD_ADDRESS"] == "somewhere:1"
    assert lossd.Client().address == "somewhere:1"

    installation.undo()
    installation.undo()
    for name in ("training", "training.losses", "training.losses.orchestrator", "training.module"):
        assert of(name).LossOrchestrator is original
    assert type(of("models.losses").create_loss()) is of("models.losses.malis").MalisLoss
    assert "LOSSD_ADDRESS" not in os.environ


@pytest.mark.usefixtures("package")
def test_installing_twice_is_installing_once() -> None:
    original = of("training").LossOrchestrator
    with lossd.pytc.install(), lossd.pytc.install():
        assert of("training").LossOrchestrator is lossd.pytc.RemoteLossOrchestrator
    assert of("training").LossOrchestrator is original


@pytest.mark.usefixtures("package")
def test_an_import_and_the_environment_do(
    client: lossd.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = importlib.import_module("lossd.pytc.auto")
    cfg = {"model": {"loss": {"losses": [{"function": "L1Loss"}]}}}
    orchestrator = of("training.module").LossOrchestrator(cfg, [], [])
    malis = of("models.losses").create_loss(reduction="mean")
    # Looked up at the first call, and not before.
    monkeypatch.setenv("LOSSD_ADDRESS", client.address)
    logits, target = torch.randn(1, 3, 4, 5, 6), (torch.rand(1, 3, 4, 5, 6) > 0.5).float()
    loss, _ = orchestrator.compute_standard_loss(logits, target)
    torch.testing.assert_close(loss, (logits - target).abs().mean())
    assert malis(logits, target) >= 0
    auto.installation.undo()


@pytest.mark.usefixtures("package")
def test_another_package_of_that_name_is_told_apart() -> None:
    del of("models.losses.malis").MalisLoss
    with pytest.raises(lossd.Error, match=r"connectomics\.models\.losses\.malis has no MalisLoss"):
        lossd.pytc.install()
    assert of("training").LossOrchestrator is not lossd.pytc.RemoteLossOrchestrator

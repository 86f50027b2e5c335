"""A training module in the shape that PyTorch Connectomics has it.

Its Lightning module with what matters to losses: how they are built, what is asked of the
orchestrator in training and validation, and what a trainer does around it. Plain PyTorch.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import lossd.pytc

Batch = Mapping[str, Tensor]
Logs = dict[str, float]


class TermSpec(Protocol):
    """What the module reads of a loss term."""

    @property
    def call_kind(self) -> str: ...
    @property
    def pred_head(self) -> str | None: ...
    @property
    def target_slice(self) -> int | str | None: ...


class Orchestrator(Protocol):
    """What the module asks of its loss orchestrator."""

    @property
    def loss_term_specs(self) -> Sequence[TermSpec]: ...

    def compute_standard_loss(
        self,
        outputs: Any,
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
    ) -> tuple[Tensor, Logs]: ...

    def compute_deep_supervision_loss(
        self,
        outputs: Any,
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
    ) -> tuple[Tensor, Logs]: ...


class BuildOrchestrator(Protocol):
    """The orchestrator's constructor, as the module calls it."""

    def __call__(
        self,
        *,
        cfg: Any,
        loss_functions: nn.ModuleList,
        loss_weights: list[float],
        enable_nan_detection: bool,
        debug_on_nan: bool,
        loss_weighter: nn.Module | None,
        loss_metadata: list[Any] | None,
    ) -> Orchestrator: ...


class TrainingModule(nn.Module):
    """A network and its losses.

    Attributes:
        logged: The last logs of each stage.
        hits: Correct voxels and all voxels that validation saw.
    """

    def __init__(
        self,
        cfg: Any,
        network: nn.Module,
        build_orchestrator: BuildOrchestrator = lossd.pytc.RemoteLossOrchestrator,
        skip_loss: bool = False,
    ) -> None:
        super().__init__()
        self.cfg = cfg
        self.model = network
        self.logged: dict[str, Logs] = {}
        self.hits = torch.zeros(2)
        self.loss_orchestrator: Orchestrator | None = None
        self.loss_weighter: nn.Module | None = None
        if not skip_loss:
            self._init_losses(build_orchestrator)

    def _init_losses(self, build_orchestrator: BuildOrchestrator) -> None:
        losses = self.cfg.model.loss.losses
        self.loss_weighter = lossd.pytc.build_loss_weighter(self.cfg, len(losses), model=self.model)
        nan = getattr(getattr(self.cfg, "monitor", None), "nan_detection", None)
        self.loss_orchestrator = build_orchestrator(
            cfg=self.cfg,
            loss_functions=nn.ModuleList(),
            loss_weights=[float(term.get("weight", 1.0)) for term in losses],
            enable_nan_detection=getattr(nan, "enabled", True),
            debug_on_nan=True,
            loss_weighter=self.loss_weighter,
            loss_metadata=None,
        )

    def training_step(self, batch: Batch) -> Tensor:
        return self._loss(self.model(batch["image"]), batch, "train")

    def validation_step(self, batch: Batch) -> Tensor:
        outputs = self.model(batch["image"])
        loss = self._loss(outputs, batch, "val")
        if self.cfg.evaluation.enabled:
            self._measure(outputs, batch["label"])
        return loss

    def _loss(self, outputs: Any, batch: Batch, stage: str) -> Tensor:
        assert self.loss_orchestrator is not None
        raw_mask = batch.get("mask")
        deep = isinstance(outputs, dict) and any(name.startswith("ds_") for name in outputs)
        compute = (
            self.loss_orchestrator.compute_deep_supervision_loss
            if deep
            else self.loss_orchestrator.compute_standard_loss
        )
        loss, self.logged[stage] = compute(
            outputs,
            batch["label"],
            stage=stage,
            mask=None if raw_mask is None else (raw_mask > 0).float(),
            target_mask=batch.get("label_mask"),
            gt_seg=batch.get("gt_seg"),
        )
        return loss

    def _measure(self, outputs: Any, labels: Tensor) -> None:
        """Accuracy of the main output, on the channels that its loss term compares it with."""
        assert self.loss_orchestrator is not None
        specs = [s for s in self.loss_orchestrator.loss_term_specs if s.call_kind == "pred_target"]
        main = outputs.get("output", outputs) if isinstance(outputs, dict) else outputs
        if isinstance(main, dict):
            head = self.cfg.model.primary_head
            (target,) = {s.target_slice for s in specs if (s.pred_head or head) == head}
            first, _, last = str(target).partition(":")
            main, labels = main[head], labels[:, int(first) : int(last)]
        elif len(specs) > 1:
            main, labels = main[:, :1], labels[:, :1]
        self.hits += torch.tensor([((main > 0) == (labels > 0)).sum(), labels.numel()])


@dataclasses.dataclass
class Trainer:
    """What a trainer does with a module.

    Attributes:
        module: What is trained.
        accumulate: Batches a step of the optimizer.
        dtype: What autocast computes in; None without autocast. float16 with a GradScaler.
        ema_decay: Of the moving average of the weights that validation uses; None without one.
        lr: The learning rate.
    """

    module: TrainingModule
    accumulate: int = 1
    dtype: torch.dtype | None = None
    ema_decay: float | None = None
    lr: float = 0.05

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=self.lr, momentum=0.9)
        self.scaler = torch.amp.grad_scaler.GradScaler(
            "cpu", init_scale=1024.0, enabled=self.dtype == torch.float16
        )
        self.average = copy.deepcopy(self.module) if self.ema_decay is not None else None

    def fit(self, batches: Iterable[Batch]) -> list[float]:
        """The losses of the batches, in training."""
        self.module.train()
        losses = []
        for index, batch in enumerate(batches, 1):
            with torch.autocast("cpu", dtype=self.dtype, enabled=self.dtype is not None):
                loss = self.module.training_step(batch)
            self.scaler.scale(loss / self.accumulate).backward()
            losses.append(float(loss.detach()))
            if index % self.accumulate == 0:
                self.scaler.step(self.optimizer)
                self.scaler.update()
                self.optimizer.zero_grad()
                self._update_average()
        return losses

    def validate(self, batch: Batch) -> float:
        """The loss of a batch, by the averaged weights where there are some."""
        module = (self.average or self.module).eval()
        with torch.no_grad():
            return float(module.validation_step(batch))

    def state(self) -> dict[str, Any]:
        """A checkpoint."""
        return copy.deepcopy(
            {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        )

    def resume(self, state: Mapping[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _update_average(self) -> None:
        if self.average is None or self.ema_decay is None:
            return
        with torch.no_grad():
            ours, theirs = self.average.parameters(), self.module.parameters()
            for average, weight in zip(ours, theirs, strict=True):
                average.lerp_(weight, 1 - self.ema_decay)


class Network(nn.Module):
    """Three channels: a tensor, two scales, or named heads."""

    def __init__(self, form: str = "tensor") -> None:
        super().__init__()
        self.form = form
        self.shared = nn.Conv3d(1, 4, 3, padding=1)
        self.last = nn.Conv3d(4, 3, 1)

    def forward(self, image: Tensor) -> Any:
        output: Tensor = self.last(self.shared(image).relu())
        if self.form == "scales":
            return {"output": output, "ds_1": F.avg_pool3d(output, 2)}
        if self.form == "heads":
            return {"output": {"aff": output[:, :2], "sdt": output[:, 2:]}}
        return output


def make_batches(count: int, shape: tuple[int, ...] = (2, 1, 4, 6, 6)) -> list[dict[str, Tensor]]:
    """Images, and three channels of labels of which an image tells something."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(count):
        image = torch.randn(shape, generator=generator)
        noise = torch.randn((shape[0], 3, *shape[2:]), generator=generator)
        batches.append({"image": image, "label": (image + 0.3 * noise > 0).float()})
    return batches

"""How the losses of several terms become one: loss balancing, as PyTorch Connectomics has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lossd.pytc.config import find, get


class LossCombiner(Protocol):
    """How the losses of the terms become one, as PyTorch Connectomics' loss weighters do it."""

    def combine(
        self, losses: Sequence[Tensor], names: Sequence[str], stage: str
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """The total, the weight of each term, and logs; the losses carry their graphs."""
        ...


class UncertaintyLossWeighter(nn.Module):
    """Σ ½·exp(−s)·L + ½·s with learned log-variances s (Kendall et al., CVPR 2018).

    The server does it, and returns the gradient of s as well.

    Attributes:
        log_vars: s, one for each term.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__()
        self.log_vars = nn.Parameter(torch.zeros(num_tasks))

    def combine(
        self, losses: Sequence[Tensor], names: Sequence[str], stage: str
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """The total, exp(−s), and logs, of losses that were computed elsewhere."""
        weights = torch.exp(-self.log_vars)
        restoring = 0.5 * self.log_vars.sum()
        total = 0.5 * (weights * torch.stack(list(losses))).sum() + restoring
        shares = weights.detach()
        prefix = f"{stage}_loss_uncertainty"
        logs = {f"{prefix}/{name}_weight": float(w) for name, w in zip(names, shares, strict=True)}
        logs[f"{prefix}/reg"] = float(restoring.detach())
        return total, shares, logs


class GradNormLossWeighter(nn.Module):
    """Weights that keep the terms training at similar rates (Chen et al., ICML 2018).

    The total is Σ w̃·L + gradnorm_lambda·R, w̃ = n·relu(w)/(Σ relu(w) + 1e-6). R is the mean
    distance of each term's gradient norm, w̃·G, from what it should be: the mean norm times the
    term's relative loss ratio to the power alpha. Only in training, and only with shared
    parameters.

    Attributes:
        task_weights: w, one for each term.
        initial_losses: The losses of the first step; None before it.

    Args:
        num_tasks: The number of terms.
        alpha: How strongly slow terms are favoured.
        gradnorm_lambda: The factor on R.
        shared_parameters: What the gradient norms are measured on.
    """

    initial_losses: Tensor | None

    def __init__(
        self,
        num_tasks: int,
        alpha: float = 0.5,
        gradnorm_lambda: float = 1.0,
        shared_parameters: Iterable[nn.Parameter] | None = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gradnorm_lambda = gradnorm_lambda
        self.task_weights = nn.Parameter(torch.ones(num_tasks))
        self.register_buffer("initial_losses", None)
        self.shared_parameters = list(shared_parameters or ())

    def combine(
        self, losses: Sequence[Tensor], names: Sequence[str], stage: str
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """The total, w̃, and logs; `losses` must carry their graphs.

        Raises:
            ValueError: There are more terms than num_tasks.
        """
        tasks = self._tasks(names)
        values = torch.stack(list(losses))
        positive = self.task_weights[tasks].relu()
        weights = positive * (len(positive) / (positive.sum() + 1e-6))
        total = (weights * values).sum()
        shares = weights.detach()
        prefix = f"{stage}_loss_gradnorm"
        logs = {f"{prefix}/{name}_weight": float(w) for name, w in zip(names, shares, strict=True)}
        if self.training and stage == "train" and self.shared_parameters:
            restoring = self._restoring_loss(losses, self._ratios(values.detach(), tasks), weights)
            total = total + self.gradnorm_lambda * restoring
            logs[f"{prefix}/reg"] = float(restoring.detach())
        return total, shares, logs

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Saved since the first step only; loading needs a place for it, or none.
        saved = state_dict.get(f"{prefix}initial_losses")
        self.initial_losses = None if saved is None else torch.empty_like(self.task_weights.data)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _tasks(self, names: Sequence[str]) -> list[int]:
        """The index of each term: its place, or where some are missing, the number in its name.

        At the coarser scales of deep supervision not every term applies.
        """
        count = len(self.task_weights)
        if len(names) == count:
            return list(range(count))
        numbers = [name.removeprefix("term_") for name in names]
        tasks = [int(number) if number.isdecimal() else count for number in numbers]
        if any(task >= count for task in tasks):
            raise ValueError(
                f"loss_weighter: got num_tasks {count}, expected one a term, of {', '.join(names)}"
            )
        return tasks

    def _ratios(self, values: Tensor, tasks: Sequence[int]) -> Tensor:
        """Losses relative to what they were when they were first seen."""
        if self.initial_losses is None:
            self.initial_losses = values.new_full(self.task_weights.shape, torch.nan)
        initial = self.initial_losses[tasks]
        initial = torch.where(initial.isnan(), values, initial)
        self.initial_losses[tasks] = initial
        return values / (initial + 1e-12)

    def _restoring_loss(self, losses: Sequence[Tensor], ratios: Tensor, weights: Tensor) -> Tensor:
        norms = weights * torch.stack([self._gradient_norm(loss) for loss in losses])
        targets = norms.mean() * (ratios / ratios.mean()) ** self.alpha
        return (norms - targets).abs().mean()

    def _gradient_norm(self, loss: Tensor) -> Tensor:
        """The mean over the shared parameters of the norm of the loss's gradient."""
        gradients = torch.autograd.grad(
            loss, self.shared_parameters, retain_graph=True, allow_unused=True
        )
        norms = [gradient.norm() for gradient in gradients if gradient is not None]
        return torch.stack(norms).mean() if norms else loss.new_zeros(())


def build_loss_weighter(
    cfg: Any, num_tasks: int, model: nn.Module | None = None
) -> UncertaintyLossWeighter | GradNormLossWeighter | None:
    """The weighter that `model.loss.loss_balancing` of a training config asks for; None for none.

    Args:
        cfg: The config: OmegaConf, dataclass, mapping or namespace.
        num_tasks: The number of terms.
        model: The network, whose parameters GradNorm measures gradients on.

    Raises:
        ValueError: For an unknown strategy.
    """
    loss = find(cfg, "model", "loss")
    balancing = get(loss, "loss_balancing")
    if get(balancing, "strategy") is None:
        balancing = loss  # Where older configs have it.
    strategy = get(balancing, "strategy")
    name = None if strategy is None else str(strategy).lower()
    if name in (None, "none"):
        return None
    if name == "uncertainty":
        return UncertaintyLossWeighter(num_tasks)
    if name == "gradnorm":
        which = get(balancing, "gradnorm_parameter_strategy", "last")
        return GradNormLossWeighter(
            num_tasks,
            alpha=get(balancing, "gradnorm_alpha", 0.5),
            gradnorm_lambda=get(balancing, "gradnorm_lambda", 1.0),
            shared_parameters=None if model is None else _shared_parameters(model, which),
        )
    raise ValueError(
        f"loss_balancing.strategy: got {strategy!r}, expected none, uncertainty or gradnorm"
    )


def uncertainty_log_vars(weighter: nn.Module | None) -> Tensor | None:
    """The log-variances of a weighter that balances by uncertainty, ours or the original; or None.

    The server balances by them, so that one gradient comes back and not one for each term.
    """
    log_vars = getattr(weighter, "log_vars", None)
    if type(weighter).__name__ != UncertaintyLossWeighter.__name__:
        return None
    return log_vars if isinstance(log_vars, Tensor) else None


def _shared_parameters(model: nn.Module, which: str) -> list[nn.Parameter]:
    """The last, the first or all of the network's trainable parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if which == "all":
        return parameters
    return parameters[:1] if which == "first" else parameters[-1:]

"""Training configs as plans."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from torch import nn

from lossd.errors import InvalidArgumentError
from lossd.plan import Plan, to_plain
from lossd.pytc.config import find, get, is_list
from lossd.pytc.modules import function_of, kwargs_of

# Where older configs have what is now in loss_balancing.
_FLAT_BALANCING = ("strategy", "gradnorm_alpha", "gradnorm_lambda", "gradnorm_parameter_strategy")


def loss_terms(
    cfg: Any,
    modules: Sequence[nn.Module],
    weights: Sequence[float],
    metadata: Sequence[Any] | None,
) -> list[dict[str, Any]]:
    """`model.loss.losses` of a config, with what it leaves to the modules that were built from it.

    Args:
        cfg: The training config.
        modules: The losses, one a term; none where there are only the config's.
        weights: The coefficients of terms without one.
        metadata: Of the modules; their names are what counts.

    Raises:
        InvalidArgumentError: There are no terms, or not as many as modules.
    """
    terms = find(cfg, "model", "loss", "losses")
    if not is_list(terms) or not terms:
        raise InvalidArgumentError(
            "model.loss.losses: got none, expected a list of terms", field="losses"
        )
    if modules and len(modules) != len(terms):
        raise InvalidArgumentError(
            f"loss_functions: got {len(modules)}, expected {len(terms)}, one for each of "
            "model.loss.losses",
            field="loss_functions",
        )
    rows = itertools.zip_longest(to_plain(terms), modules, weights, metadata or [])
    return [_term(index, *row) for index, row in zip(range(len(terms)), rows, strict=False)]


def make_plan(cfg: Any, losses: Sequence[dict[str, Any]], *, uncertainty: bool) -> Plan:
    """The plan of a config with these terms, and the balancing that the server is to do.

    Raises:
        InvalidArgumentError: There is something that no plan can hold.
    """
    section = {
        key: value
        for key, value in to_plain(find(cfg, "model", "loss")).items()
        if value is not None and key not in _FLAT_BALANCING
    }
    section["losses"] = list(losses)
    section["loss_balancing"] = {"strategy": "uncertainty" if uncertainty else "none"}
    heads = {key: find(cfg, "model", key) for key in ("heads", "primary_head")}
    return Plan.from_dict({"loss": section} | {k: v for k, v in heads.items() if v})


def _term(
    index: int,
    given: Any,
    module: nn.Module | None,
    weight: float | None,
    metadata: Any,
) -> dict[str, Any]:
    if not isinstance(given, dict):
        field = f"losses[{index}]"
        raise InvalidArgumentError(f"{field}: got {given!r}, expected a mapping", field=field)
    term: dict[str, Any] = dict(given)
    if module is not None and get(term, "function") is None:
        function = function_of(module, metadata)
        term |= {"function": function, "kwargs": kwargs_of(module, function, f"losses[{index}]")}
    if get(term, "function") == "WeightedBCEWithLogitsLoss":
        # Built with the term's pos_weight, where that is a number: it wins over the kwargs'.
        own = getattr(module, "pos_weight", None)
        if own is not None:
            own = own.item() if own.numel() == 1 else own.tolist()
            term["kwargs"] = {**get(term, "kwargs", {}), "pos_weight": own}
    if weight is not None and get(term, "weight") is None and get(term, "coefficient") is None:
        term["weight"] = weight
    return term

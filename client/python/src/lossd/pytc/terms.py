"""The terms of a training config, as the code around a loss orchestrator reads them."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lossd.errors import InvalidArgumentError
from lossd.loss_table import LossKinds, loss_table
from lossd.pytc.config import find, keys

# Channels of a tensor: an index, or "start:stop".
ChannelSelector = int | str

_KEYS = (
    *("function", "weight", "coefficient", "kwargs"),
    *("pred_slice", "pred", "target_slice", "target", "mask_slice", "mask", "pred_head"),
    *("pred2_slice", "pred2", "pred2_head"),
    *("call_kind", "call", "target_kind", "spatial_weight_arg"),
    *("apply_deep_supervision", "pos_weight", "require_label_mask"),
)
_CALL_KINDS = ("pred_target", "pred_only", "pred_pred")
_TARGET_KINDS = ("dense", "class_index", "none")
_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*")


@dataclasses.dataclass(frozen=True)
class LossTermSpec:
    """One term; the attributes are those of PyTorch Connectomics' LossTermSpec.

    Attributes:
        name: "term_" and the index.
        loss_index: The index in `model.loss.losses`.
        coefficient: Factor on the term.
        call_kind: "pred_target", "pred_only" or "pred_pred".
        target_kind: "dense", "class_index" or "none".
        pred_head: The head of the prediction; None for the primary one.
        pred_slice: Its channels; None for all.
        pred2_head: The head of the second prediction.
        target_slice: Channels of the labels; the head's own where the term names none.
        pred2_slice: Channels of the second prediction.
        mask_slice: Channels of the labels that are the term's mask.
        apply_deep_supervision: Whether it applies to the coarser scales.
        spatial_weight_arg: "weight", "mask" or None.
        pos_weight: A weight on foreground, "auto", or None for the loss's own way.
    """

    name: str
    loss_index: int
    coefficient: float
    call_kind: str
    target_kind: str
    pred_head: str | None = None
    pred_slice: ChannelSelector | None = None
    pred2_head: str | None = None
    target_slice: ChannelSelector | None = None
    pred2_slice: ChannelSelector | None = None
    mask_slice: ChannelSelector | None = None
    apply_deep_supervision: bool = True
    spatial_weight_arg: str | None = None
    pos_weight: float | str | None = None


def compile_terms(cfg: Any, losses: Sequence[Mapping[str, Any]]) -> list[LossTermSpec]:
    """The terms of a plan's `losses`, in a config that says what heads there are.

    Only what the result depends on is checked here; a server checks the rest.

    Raises:
        InvalidArgumentError: Something in a term is wrong.
    """
    heads = find(cfg, "model", "heads") or {}
    primary = find(cfg, "model", "primary_head")
    return [_Reader(index, term, heads, primary).read() for index, term in enumerate(losses)]


def channel_range(selector: ChannelSelector | None, channels: int) -> tuple[int, int] | None:
    """The channels [start, stop) that a selector means; None where it means none of these."""
    if selector is None:
        return 0, channels
    if isinstance(selector, int):
        start = selector % channels if -channels <= selector < channels else channels
        stop = start + 1
    else:
        first, _, last = selector.partition(":")
        start, stop, _ = slice(_number(first), _number(last)).indices(channels)
    return (start, stop) if 0 <= start < stop <= channels else None


def _number(text: str) -> int | None:
    return int(text) if text else None


class _Reader:
    """Reads one term."""

    def __init__(
        self, index: int, term: Mapping[str, Any], heads: Any, primary_head: str | None
    ) -> None:
        self._index = index
        self._term = term
        self._heads = heads
        self._head_names = list(keys(heads))
        self._primary_head = primary_head

    def read(self) -> LossTermSpec:
        for key in self._term:
            if key not in _KEYS:
                raise self._error(key, "unknown field" + _did_you_mean(key, _KEYS))
        kinds = self._kinds()
        call_kind = self._word(("call_kind", "call"), kinds.call_kind, _CALL_KINDS)
        target_kind = self._word(("target_kind",), kinds.target_kind, _TARGET_KINDS)
        spatial_weight_arg = self._spatial_weight_arg(kinds)
        pred_head, pred2_head = self._head("pred_head"), self._head("pred2_head")
        spec = LossTermSpec(
            name=f"term_{self._index}",
            loss_index=self._index,
            coefficient=self._coefficient(),
            call_kind=call_kind,
            target_kind=target_kind if call_kind == "pred_target" else "none",
            pred_head=pred_head,
            pred_slice=self._slice("pred_slice", "pred"),
            pred2_head=pred2_head,
            target_slice=self._slice("target_slice", "target"),
            pred2_slice=self._slice("pred2_slice", "pred2"),
            mask_slice=self._slice("mask_slice", "mask"),
            apply_deep_supervision=bool(self._term.get("apply_deep_supervision", True)),
            spatial_weight_arg=spatial_weight_arg,
            pos_weight=self._pos_weight(spatial_weight_arg),
        )
        self._check_predictions(spec)
        if call_kind == "pred_target" and spec.target_slice is None:
            spec = dataclasses.replace(spec, target_slice=self._head_target(pred_head))
        return spec

    def _error(self, key: str, message: str) -> InvalidArgumentError:
        field = f"losses[{self._index}].{key}"
        return InvalidArgumentError(f"{field}: {message}", field=field)

    def _kinds(self) -> LossKinds:
        function = self._term.get("function")
        kinds = loss_table().get(str(function))
        if kinds is None:
            known = _did_you_mean(str(function), loss_table())
            raise self._error("function", f"unknown loss {function!r}{known}")
        if not kinds.usable_in_plan:
            raise self._error("function", f"got {function}, which is not for plans")
        return kinds

    def _word(self, names: Sequence[str], default: str, words: Sequence[str]) -> str:
        for name in names:
            value = self._term.get(name)
            if value is None:
                continue
            if str(value).lower() not in words:
                raise self._error(name, f"got {value!r}, expected {', '.join(words)}")
            return str(value).lower()
        return default

    def _spatial_weight_arg(self, kinds: LossKinds) -> str | None:
        if "spatial_weight_arg" not in self._term:
            return kinds.spatial_weight_arg
        value = self._term["spatial_weight_arg"]
        return None if value is None or str(value).lower() == "none" else str(value).lower()

    def _coefficient(self) -> float:
        for name in ("coefficient", "weight"):
            value = self._term.get(name)
            if value is None:
                continue
            try:
                return float(value)
            except (TypeError, ValueError):
                raise self._error(name, f"got {value!r}, expected a number") from None
        return 1.0

    def _head(self, key: str) -> str | None:
        head = self._term.get(key)
        if head is None:
            return None
        head = str(head).strip()
        if head not in self._head_names:
            known = ", ".join(self._head_names) or "none"
            raise self._error(key, f"got {head!r}, expected one of model.heads ({known})")
        return head

    def _slice(self, *names: str) -> ChannelSelector | None:
        for name in names:
            value = self._term.get(name)
            if value is not None:
                return self._selector(name, value)
        return None

    def _selector(self, key: str, value: Any) -> ChannelSelector:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            if re.fullmatch(r"\s*-?\d+\s*", value):
                return int(value)
            if match := _SLICE.fullmatch(value):
                return f"{match[1] or ''}:{match[2] or ''}"
        raise self._error(key, f"got {value!r}, expected a channel or 'start:stop'")

    def _pos_weight(self, spatial_weight_arg: str | None) -> float | str | None:
        value = self._term.get("pos_weight")
        if value is None:
            unweighted = ("WeightedBCEWithLogitsLoss", "PerChannelBCEWithLogitsLoss")
            return 1.0 if self._term["function"] in unweighted else None
        if spatial_weight_arg != "weight":
            raise self._error("pos_weight", "expected none, as the loss takes no spatial weight")
        if isinstance(value, str) and value.strip().lower() == "auto":
            return "auto"
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0
        if not number > 0:
            raise self._error("pos_weight", f"got {value!r}, expected a number > 0 or auto")
        return number

    def _check_predictions(self, spec: LossTermSpec) -> None:
        if spec.call_kind != "pred_target" and spec.pred_slice is None:
            raise self._error("pred_slice", f"got none, expected one for {spec.call_kind}")
        if spec.call_kind == "pred_pred" and spec.pred2_slice is None:
            raise self._error("pred2_slice", "got none, expected one for pred_pred")
        if len(self._head_names) > 1 and spec.pred_head is None and self._primary_head is None:
            raise self._error(
                "pred_head",
                f"got none, expected one of {', '.join(self._head_names)}, or model.primary_head",
            )

    def _head_target(self, pred_head: str | None) -> ChannelSelector | None:
        head = pred_head or self._primary_head
        if head is None and len(self._head_names) == 1:
            head = self._head_names[0]
        target = None if head is None else find(self._heads, head, "target_slice")
        return None if target is None else self._selector("target_slice", target)


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""

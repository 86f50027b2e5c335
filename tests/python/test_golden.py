"""What PyTorch Connectomics itself computes, through a real server and this SDK."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import lossd

CASES = pathlib.Path(__file__).resolve().parents[1] / "golden"
NAMES = sorted(path.stem for path in CASES.glob("*.json"))


def read_case(name: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    with np.load(CASES / f"{name}.npz") as arrays:
        return json.loads((CASES / f"{name}.json").read_text()), dict(arrays)


def by_prefix(arrays: dict[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}


def compute(client: lossd.Client, name: str, kind: Any) -> lossd.Result:
    case, arrays = read_case(name)
    outputs = {head: kind(array) for head, array in by_prefix(arrays, "output.").items()}
    optional = {key: kind(arrays[key]) for key in ("mask", "label_mask", "gt_seg") if key in arrays}
    return client.compute(
        case["plan"],
        outputs["output"] if list(outputs) == ["output"] else outputs,
        kind(arrays["labels"]),
        **optional,
        mode=case["mode"],
        malis_crop_origin=case.get("malis_crop_origin"),
        log_vars=arrays.get("log_vars"),
    )


def test_all_cases_are_here() -> None:
    assert len(NAMES) == 65


@pytest.mark.parametrize("name", NAMES)
def test_golden_case(client: lossd.Client, name: str) -> None:
    case, arrays = read_case(name)
    result = compute(client, name, np.asarray)

    expected = case["expected"]
    np.testing.assert_allclose(result.total, expected["total"], rtol=1e-5, atol=1e-6)
    assert set(result.logs) == set(expected["logs"])
    for key, value in expected["logs"].items():
        np.testing.assert_allclose(result.logs[key], value, rtol=1e-5, atol=1e-6, err_msg=key)

    gradients = by_prefix(arrays, "grad.")
    assert set(result.gradients) == set(gradients)
    for head, gradient in gradients.items():
        atol = 1e-6 * np.abs(gradient).max()
        np.testing.assert_allclose(
            np.asarray(result.gradients[head]), gradient, rtol=1e-4, atol=atol, err_msg=head
        )


@pytest.mark.parametrize("name", ["malis_crop_gt_seg", "heads_primary_and_named"])
def test_torch_gets_the_same_numbers(client: lossd.Client, name: str) -> None:
    from_numpy = compute(client, name, np.asarray)
    from_torch = compute(client, name, torch.from_numpy)
    assert from_torch.logs == from_numpy.logs
    for head, gradient in from_torch.gradients.items():
        np.testing.assert_array_equal(np.asarray(gradient), np.asarray(from_numpy.gradients[head]))

"""A server's answers, however they travel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from local_server import LocalServer

import lossd
from lossd.transport import Transport

PLAN = [{"function": "PerChannelBCEWithLogitsLoss"}, {"function": "MalisLoss"}]
SHAPE = (2, 3, 13, 44, 51)  # In float32 a chunk of a megabyte, and some more.


@pytest.fixture(scope="module")
def clients(server: LocalServer) -> Iterator[dict[str, lossd.Client]]:
    """One of each transport."""
    transports: tuple[Transport, ...] = ("unary", "stream", "shm")
    clients: dict[str, lossd.Client] = {}
    for transport in transports:
        clients[transport] = lossd.Client(server.address, transport=transport)
    yield clients
    for client in clients.values():
        client.close()


def batch(dtype: torch.dtype) -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "outputs": (2 * torch.randn(SHAPE)).to(dtype),
        "labels": (torch.rand(SHAPE) > 0.4).transpose(3, 4).contiguous().transpose(3, 4),
        "mask": torch.rand(2, 1, *SHAPE[2:]) > 0.1,
        "label_mask": (torch.rand(SHAPE) > 0.1).byte(),
        "gt_seg": torch.randint(0, 9, (2, *SHAPE[2:])).int(),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "options",
    [{}, {"per_term_gradients": True}, {"losses_only": True}, {"float32_gradients": True}],
    ids=lambda options: next(iter(options), "default"),
)
def test_the_same_bits_come_back(
    clients: dict[str, lossd.Client], dtype: torch.dtype, options: dict[str, Any]
) -> None:
    arguments = {"plan": PLAN, **batch(dtype), **options}
    unary = clients["unary"].compute(**arguments)
    others = [clients[name].compute(**arguments) for name in ("stream", "shm")]
    submitted = [clients[name].submit(**arguments).result() for name in ("stream", "shm")]
    for result in (*others, *submitted):
        assert result.total == unary.total
        assert result.logs == unary.logs
        pairs: Iterator[tuple[Any, Any]] = zip(
            [result, *result.terms], [unary, *unary.terms], strict=True
        )
        for ours, theirs in pairs:
            assert ours.gradients.keys() == theirs.gradients.keys()
            for name, gradient in ours.gradients.items():
                expected = torch.as_tensor(theirs.gradients[name])
                assert torch.equal(torch.as_tensor(gradient), expected)
                assert expected.any()
    assert bool(unary.gradients) != bool(options.get("losses_only"))


def test_heads_of_deep_supervision(clients: dict[str, lossd.Client]) -> None:
    rng = np.random.default_rng(0)
    outputs = {
        name: rng.standard_normal((1, 3, size, size, size), dtype=np.float32)
        for name, size in (("output", 64), ("ds_1", 32), ("ds_2", 16))
    }
    labels = rng.random((1, 3, 64, 64, 64)) > 0.5
    term = {"function": "WeightedMSELoss"}
    unary, *others = (
        client.compute(
            [term, term], outputs, labels, mode="deep_supervision", per_term_gradients=True
        )
        for client in clients.values()
    )
    for other in others:
        assert other.logs == unary.logs
        pairs: Iterator[tuple[Any, Any]] = zip(
            [other, *other.terms], [unary, *unary.terms], strict=True
        )
        for ours, theirs in pairs:
            assert ours.gradients.keys() == theirs.gradients.keys()
            for name, gradient in theirs.gradients.items():
                np.testing.assert_array_equal(ours.gradients[name], gradient)


def test_a_batch_that_is_refused_is_not_sent_to_its_end(clients: dict[str, lossd.Client]) -> None:
    # A gibibyte of one element, for a plan that is wrong, and as labels of another batch.
    huge = torch.zeros((), dtype=torch.uint8).expand(2, 1, 512, 1024, 1024)
    logits = np.zeros((1, 1, 4, 4, 4), np.float32)
    for _ in range(3):
        with pytest.raises(lossd.InvalidArgumentError, match="WeightedMSELoss"):
            clients["stream"].compute([{"function": "WeightedMSELos"}], logits, gt_seg=huge)
        with pytest.raises(lossd.InvalidArgumentError) as caught:
            clients["stream"].compute([{"function": "WeightedMSELoss"}], logits, labels=huge)
        assert caught.value.field == "labels.shape"


def test_what_the_unary_call_refuses_the_streamed_call_refuses(
    clients: dict[str, lossd.Client],
) -> None:
    logits = np.full((1, 1, 8, 8, 8), np.nan, np.float32)
    messages = set()
    for client in clients.values():
        with pytest.raises(lossd.InvalidArgumentError) as caught:
            client.compute([{"function": "WeightedMSELoss"}], logits, logits * 0 + 1)
        messages.add((caught.value.message, caught.value.field, caught.value.reason))
    assert len(messages) == 1

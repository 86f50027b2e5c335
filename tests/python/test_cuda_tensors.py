"""Trainers whose tensors are on a GPU, against the same with tensors on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from local_server import LocalServer
from torch import Tensor

import lossd
from lossd.torch import RemoteLoss

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

PLAN = {
    "losses": [
        {"function": "PerChannelBCEWithLogitsLoss"},
        {"function": "MalisLoss", "kwargs": {"reduction": "sum"}},
    ]
}
SHAPE = (2, 3, 32, 48, 48)
TRANSPORTS = ("unary", "stream", "shm")


def batch(dtype: torch.dtype, ids: torch.dtype = torch.int64) -> dict[str, Tensor]:
    """Large enough to be packed, and to come in several pieces."""
    generator = torch.Generator().manual_seed(1)
    outputs = (2 * torch.randn(SHAPE, generator=generator)).to(dtype)
    labels = (torch.rand(SHAPE, generator=generator) > 0.3).float()
    mask = torch.rand((2, 1, *SHAPE[2:]), generator=generator) > 0.1
    seg = (torch.arange(2 * 32 * 48 * 48) // 500 % 90).view(2, 32, 48, 48).to(ids)
    return {"outputs": outputs, "labels": labels, "mask": mask, "gt_seg": seg}


@pytest.fixture(scope="module", params=TRANSPORTS)
def any_client(request: pytest.FixtureRequest, server: LocalServer) -> Iterator[lossd.Client]:
    """A client of each transport."""
    with lossd.Client(server.address, transport=request.param) as client:
        yield client


def trained(loss: RemoteLoss, tensors: dict[str, Tensor], outputs: Tensor) -> tuple[float, Tensor]:
    """The loss, and its gradient on the host."""
    outputs.requires_grad_()
    total, _ = loss(outputs, **{name: t for name, t in tensors.items() if name != "outputs"})
    assert total.device == outputs.device
    total.backward()
    assert outputs.grad is not None
    assert outputs.grad.device == outputs.device
    assert outputs.grad.dtype == outputs.dtype
    return total.item(), outputs.grad.cpu()


def same(client: lossd.Client, tensors: dict[str, Tensor], outputs: Tensor) -> None:
    """As with tensors on the host."""
    loss = RemoteLoss(client, PLAN)
    expected = trained(loss, tensors, tensors["outputs"].clone())
    there = {name: tensor.cuda() for name, tensor in tensors.items()}
    value, gradient = trained(loss, there, outputs)
    assert value == expected[0]
    assert torch.equal(gradient, expected[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_every_type(any_client: lossd.Client, dtype: torch.dtype) -> None:
    tensors = batch(dtype)
    same(any_client, tensors, tensors["outputs"].cuda())


@pytest.mark.parametrize("ids", [torch.uint8, torch.int16, torch.int32, torch.uint16, torch.uint32])
def test_segmentations_of_every_type(any_client: lossd.Client, ids: torch.dtype) -> None:
    tensors = batch(torch.float32, ids)
    same(any_client, tensors, tensors["outputs"].cuda())


def test_sparse_ids(any_client: lossd.Client) -> None:
    tensors = batch(torch.float32)
    tensors["gt_seg"] = tensors["gt_seg"] * (1 << 40) - (5 << 40)
    same(any_client, tensors, tensors["outputs"].cuda())


def test_tensors_of_any_layout(any_client: lossd.Client) -> None:
    tensors = batch(torch.float32)
    whole = torch.zeros(2, 5, *SHAPE[2:], device="cuda").to(memory_format=torch.channels_last_3d)
    whole[:, 1:4] = tensors["outputs"].cuda()
    same(any_client, tensors, whole[:, 1:4].detach())


def test_waits_for_what_computes_the_predictions(any_client: lossd.Client) -> None:
    tensors = batch(torch.float32)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        busy = torch.randn(4096, 4096, device="cuda")
        outputs = torch.full(SHAPE, 7.0, device="cuda")
        for _ in range(50):
            busy = torch.tanh(busy @ busy)
        outputs.copy_(tensors["outputs"].cuda() + 0 * busy[0, 0])
        same(any_client, tensors, outputs.detach())


def test_calls_under_way(any_client: lossd.Client) -> None:
    tensors = batch(torch.float32)
    loss = RemoteLoss(any_client, PLAN)
    labels = tensors["labels"].cuda()
    outputs = [(tensors["outputs"] * k).cuda().requires_grad_() for k in (1, 2, 3)]
    pending = [loss.submit(each, labels) for each in outputs]
    totals: list[Any] = [call.result()[0] for call in pending]
    torch.stack(totals).sum().backward()
    for each, total in zip(outputs, totals, strict=True):
        value, gradient = trained(loss, {"labels": tensors["labels"]}, each.detach().cpu())
        assert total.item() == value
        assert each.grad is not None
        assert torch.equal(each.grad.cpu(), gradient)


def test_a_network_trains_as_on_the_host(any_client: lossd.Client) -> None:
    tensors = batch(torch.float32)

    def weights_after_two_steps(device: str) -> Tensor:
        torch.manual_seed(0)
        network = torch.nn.Conv3d(3, 3, 1).to(device)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        loss = RemoteLoss(any_client, {"losses": [{"function": "BCEWithLogitsLoss"}]})
        for _ in range(2):
            total, _ = loss(network(tensors["outputs"].to(device)), tensors["labels"].to(device))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        return network.weight.detach().cpu()

    torch.testing.assert_close(
        weights_after_two_steps("cuda"), weights_after_two_steps("cpu"), rtol=1e-4, atol=1e-6
    )

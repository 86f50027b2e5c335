"""Less on the wire: elements in fewer bytes, and labels made by the server of what it has."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from local_server import LocalServer
from stub_service import StubService, serving

import lossd
import lossd.torch
from lossd import tensors
from lossd.device_words import DeviceWords
from lossd.host_words import HostWords
from lossd.packing import Packed, Use, pack
from lossd.requests import Mode
from lossd.tensors import outgoing
from lossd.transport import Transport
from lossd.v1 import tensor_pb2

# Enough elements, and an odd number of them, for any dtype.
COUNT = 70_001

Array = npt.NDArray[Any]
Packer = Callable[[torch.Tensor, Use], Packed | None]


def on_host(tensor: torch.Tensor, use: Use) -> Packed | None:
    data = tensor.view(torch.uint8).numpy().data
    size = tensor.itemsize

    def parts() -> Iterator[memoryview]:
        yield from (data[: 3 * size], data[3 * size : 1000 * size], data[1000 * size :])

    return pack(HostWords(parts, len(tensor), size), name_of(tensor), use)


def on_device(tensor: torch.Tensor, use: Use) -> Packed | None:
    return pack(DeviceWords(tensor), name_of(tensor), use)


def name_of(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def unpacked(packed: Packed, like: torch.Tensor) -> torch.Tensor:
    """The elements, as the contract has it."""
    if packed.encoding == tensor_pb2.ENCODING_BITS:
        bits = np.unpackbits(packed.elements, bitorder="little")
        assert not bits[len(like) :].any()
        elements = bits[: len(like)]
    else:
        bytes_each = {
            tensor_pb2.ENCODING_UINT8: 1,
            tensor_pb2.ENCODING_UINT16: 2,
            tensor_pb2.ENCODING_UINT32: 4,
        }[packed.encoding]
        assert bytes_each < like.itemsize
        elements = packed.elements.view(f"u{bytes_each}")
    return torch.from_numpy(elements.astype(np.int64)).to(like.dtype)


def numbers(greatest: int, dtype: torch.dtype) -> torch.Tensor:
    return ((torch.arange(COUNT) * 7919) % (greatest + 1)).to(dtype)


@pytest.mark.parametrize("packer", [on_host, on_device])
@pytest.mark.parametrize(
    ("dtypes", "greatest", "encoding"),
    [
        ("float32 float16 bfloat16 float64 bool uint8 int8 uint16 int16 uint32 int32 uint64 int64",
         1, "BITS"),
        ("float32 float16 bfloat16 float64 uint8 int8", 2, None),
        ("uint16 int16 uint32 int32 uint64 int64", 255, "UINT8"),
        ("uint16 int16", 256, None),
        ("uint32 int32 uint64 int64", 256, "UINT16"),
        ("uint32 int32 uint64 int64", 2**16 - 1, "UINT16"),
        ("uint32 int32", 2**16, None),
        ("uint64 int64", 2**16, "UINT32"),
    ],
)  # fmt: skip
def test_the_shortest_encoding_is_chosen(
    packer: Packer, dtypes: str, greatest: int, encoding: str | None
) -> None:
    for dtype in dtypes.split():
        tensor = numbers(greatest, getattr(torch, dtype))
        packed = packer(tensor, "numbers")
        if encoding is None:
            assert packed is None, dtype
            continue
        assert packed is not None, dtype
        assert tensor_pb2.Encoding.Name(packed.encoding) == f"ENCODING_{encoding}", dtype
        assert torch.equal(unpacked(packed, tensor), tensor), dtype


@pytest.mark.parametrize("packer", [on_host, on_device])
def test_one_element_decides(packer: Packer) -> None:
    def chosen(other: float, dtype: torch.dtype, place: int = COUNT - 1) -> str | None:
        tensor = torch.zeros(COUNT, dtype=dtype)
        tensor[place] = other
        packed = packer(tensor, "numbers")
        if packed is None:
            return None
        return tensor_pb2.Encoding.Name(packed.encoding).removeprefix("ENCODING_")

    for other in (-0.0, -1.0, 0.5, 2.0, float("nan")):
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            assert [chosen(other, dtype, place) for place in (0, COUNT - 1)] == [None] * 2
    assert chosen(2**32 - 1, torch.int64) == "UINT32"
    for dtype in (torch.int16, torch.int32, torch.int64):
        assert chosen(-1, dtype) is None
    assert chosen(2**32, torch.int64) is None


def check_renamed(packer: Packer, ids: torch.Tensor, count: int) -> None:
    """So many ids have names of two bytes, one each, and 0 is 0."""
    packed = packer(ids, "ids")
    assert packed is not None
    assert packed.encoding == tensor_pb2.ENCODING_UINT16
    names = unpacked(packed, ids)
    assert torch.equal(names == 0, ids == 0)
    pairs = {*zip(names.tolist(), ids.tolist(), strict=True)}
    assert len(pairs) == len({name for name, _ in pairs}) == count


@pytest.mark.parametrize("packer", [on_host, on_device])
def test_large_ids_are_renamed(packer: Packer) -> None:
    # Runs, background among them, of ids below 0 and such as differ in their upper halves only.
    ids = ((torch.arange(COUNT) // 50 % 301) - 100) * 2**33
    check_renamed(packer, ids, 301)
    assert packer(ids, "numbers") is None
    narrow = packer((ids // 2**33).to(torch.int16), "ids")
    assert narrow is None


@pytest.mark.parametrize("packer", [on_host, on_device])
@pytest.mark.parametrize("span", [2**16 - 2, 2**16 - 1, 2**16])
def test_ids_that_lie_close_together_are_renamed(packer: Packer, span: int) -> None:
    ids = torch.arange(COUNT) // 50 + 2**40
    ids[-1], ids[7::13] = ids[0] + span, 0
    check_renamed(packer, ids, len(ids.unique()))


@pytest.mark.parametrize("packer", [on_host, on_device])
def test_too_many_ids_are_not_renamed(packer: Packer) -> None:
    for count, encoding in ((2**16, tensor_pb2.ENCODING_UINT16), (2**16 + 1, None)):
        ids = (torch.arange(count) * 2**40).repeat_interleave(5)
        packed = packer(ids, "ids")
        assert (packed and packed.encoding) == encoding


def test_packing_copies_little_of_what_is_not_one_piece() -> None:
    # A GiB of one element, whose bits are 16 MiB.
    large = np.broadcast_to(np.int64(1), (128, 1024, 1024))
    tracemalloc.start()
    assert outgoing(large, "gt_seg", "ids").data_size == 2**24
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24 + 2**23


def test_what_is_small_or_a_prediction_is_sent_as_it_is() -> None:
    array = np.zeros(2**16, dtype=bool)
    assert outgoing(array, "mask", "numbers").data_size == 2**13
    assert outgoing(array, "predictions[output]").data_size == 2**16
    assert outgoing(array[1:], "mask", "numbers").data_size == 2**16 - 1


@pytest.mark.parametrize(
    "array",
    [
        torch.from_numpy(np.arange(90_000).reshape(300, 300) % 7 % 2).float().t(),
        (np.arange(90_000).reshape(300, 300) % 7 % 2).astype(">f8")[:, ::-1],
    ],
)
def test_any_layout_is_packed_in_order(array: Any) -> None:
    message = outgoing(array, "labels", "numbers").message
    assert message.encoding == tensor_pb2.ENCODING_BITS
    assert list(message.shape) == [300, 300]
    bits = np.unpackbits(
        np.frombuffer(outgoing(array, "labels", "numbers").elements(), np.uint8), bitorder="little"
    )
    np.testing.assert_array_equal(bits.reshape(300, 300), np.asarray(array))


def affinities(cells: Array) -> Array:
    """Along z, y and x, to the voxel before."""
    edges = np.zeros((len(cells), 3, *cells.shape[1:]), np.float32)
    for axis in range(3):
        here, before = ([slice(None)] * 4 for _ in range(2))
        here[axis + 1], before[axis + 1] = slice(1, None), slice(None, -1)
        same = (cells[tuple(here)] == cells[tuple(before)]) & (cells[tuple(here)] != 0)
        edges[:, axis][tuple(here)] = same
    return edges


def step(size: int) -> dict[str, Any]:
    """A batch of 2 as trainers have it: float32 labels and mask, ids of a large volume in int64."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 60, (2, *[size // 8] * 3)) * 2**35
    for axis in (1, 2, 3):
        cells = cells.repeat(8, axis)
    labels = affinities(cells)
    logits = torch.from_numpy(4 * labels - 2 + 2 * rng.standard_normal(labels.shape))
    return {
        "outputs": logits.bfloat16(),
        "labels": labels,
        "mask": (rng.random(labels[:, :1].shape) < 0.9).astype(np.float32),
        "gt_seg": cells,
    }


PLAN = {"losses": [{"function": "PerChannelBCEWithLogitsLoss"}, {"function": "MalisLoss"}]}


@pytest.mark.parametrize("transport", ["unary", "stream", "shm"])
def test_nothing_is_lost(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    batch = step(32)
    batch["label_mask"] = np.random.default_rng(1).random(batch["labels"].shape) < 0.9
    coarse = {"output": batch["outputs"], "ds_1": batch["outputs"][..., ::2, ::2, ::2]}
    dense = {"losses": [{"function": "WeightedMSELoss"}, {"function": "DiceLoss"}]}
    # Resized, floating point is interpolated and integers are not.
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = [(PLAN, batch)]
    for dtype in (np.float32, np.float64, np.int64, np.uint8, np.bool_):
        labels = batch["labels"].astype(dtype)
        scales = {**batch, "outputs": coarse, "labels": labels, "mode": "deep_supervision"}
        calls.append((dense, scales))
    with lossd.Client(server.address, transport=transport) as client:
        packed = [client.compute(plan, **of) for plan, of in calls]
        monkeypatch.setattr(tensors, "LEAST_BYTES", 2**62)
        plain = [client.compute(plan, **of) for plan, of in calls]
    for ours, theirs in zip(packed, plain, strict=True):
        assert ours.logs == theirs.logs
        for name, gradient in ours.gradients.items():
            assert torch.equal(torch.as_tensor(gradient), torch.as_tensor(theirs.gradients[name]))


OFFSETS = [(-1, 0, 0), (0, -1, 0), (0, 0, -1)]


@pytest.mark.parametrize("mode", ["standard", "deep_supervision"])
def test_labels_made_by_the_server_are_those_of_the_segmentation(
    client: lossd.Client, mode: Mode
) -> None:
    batch = step(32)
    if mode == "deep_supervision":
        coarse = batch["outputs"][..., ::2, ::2, ::2]
        batch["outputs"] = {"output": batch["outputs"], "ds_1": coarse}
    expected = client.compute(PLAN, **batch, mode=mode)
    del batch["labels"]
    for offsets in (OFFSETS, np.array(OFFSETS)):
        result = client.compute(PLAN, **batch, mode=mode, labels_from_gt_seg=offsets)
        assert result.logs == expected.logs
        for name, gradient in result.gradients.items():
            assert torch.equal(torch.as_tensor(gradient), torch.as_tensor(expected.gradients[name]))


@pytest.mark.parametrize("crop", [None, 12])
def test_a_module_takes_labels_made_by_the_server(client: lossd.Client, crop: int | None) -> None:
    batch = {name: torch.as_tensor(of) for name, of in step(32).items()}
    term = {"function": "MalisLoss", "kwargs": {"malis_crop_size": crop} if crop else {}}
    loss = lossd.torch.RemoteLoss(client, {"losses": [term]})
    expected = None
    for labels in (batch["labels"], None):
        outputs = batch["outputs"].clone().requires_grad_()
        value, _ = loss(
            outputs,
            labels,
            batch["mask"],
            gt_seg=batch["gt_seg"],
            malis_crop_origin=(3, 0, 7) if crop else None,
            labels_from_gt_seg=OFFSETS if labels is None else None,
        )
        value.backward()
        assert outputs.grad is not None
        if expected is not None:
            assert torch.equal(value, expected[0])
            assert torch.equal(outputs.grad, expected[1])
        expected = value, outputs.grad


def test_labels_that_cannot_be_made_are_refused(client: lossd.Client) -> None:
    batch = step(8)
    labels, gt_seg = batch.pop("labels"), batch.pop("gt_seg")

    def field(**options: Any) -> str | None:
        with pytest.raises(lossd.InvalidArgumentError) as caught:
            client.compute(PLAN, **batch, **options)
        return caught.value.field

    assert field(labels=labels, gt_seg=gt_seg, labels_from_gt_seg=OFFSETS) == "labels"
    assert field(labels_from_gt_seg=OFFSETS) == "gt_seg"
    assert field(gt_seg=gt_seg, labels_from_gt_seg=[(1, 0)]) == "labels_from_gt_seg"
    assert field(gt_seg=gt_seg.astype(float), labels_from_gt_seg=OFFSETS) == "gt_seg.dtype"


@pytest.mark.parametrize("transport", get_args(Transport))
def test_what_is_compressed_comes_back(
    client: lossd.Client, server: LocalServer, transport: Transport
) -> None:
    batch = step(48)
    expected = client.compute(PLAN, **batch)
    with lossd.Client(server.address, transport=transport, compression="lz4") as compressing:
        result = compressing.compute(PLAN, **batch)
    assert result.logs == expected.logs
    gradients = (of.gradients["output"] for of in (result, expected))
    assert torch.equal(*(torch.as_tensor(of) for of in gradients))


def test_only_what_gets_smaller_is_compressed() -> None:
    noise = np.random.default_rng(0).integers(0, 2**16, (1, 1, 40, 40, 40))
    service = StubService()
    with serving(service) as address, lossd.Client(address, compression="lz4") as client:
        client.compute(PLAN, outputs=np.zeros((1, 1, 2, 2, 2), np.float32), gt_seg=noise)
        client.compute(PLAN, outputs=np.zeros((1, 1, 2, 2, 2), np.float32), gt_seg=noise // 2**8)
        client.compute(PLAN, outputs=np.zeros((1, 1, 2, 2, 2), np.float32), gt_seg=0 * noise)
    noisy, less_so, empty = (request.gt_seg for request in service.requests)
    assert (noisy.compression, noisy.compressed_bytes) == (tensor_pb2.COMPRESSION_UNSPECIFIED, 0)
    assert (less_so.encoding, less_so.compression) == (tensor_pb2.ENCODING_UINT8, 0)
    assert empty.compression == tensor_pb2.COMPRESSION_LZ4
    assert len(empty.data) == empty.compressed_bytes < 40**3 / 8


def test_compressions_that_are_none() -> None:
    with pytest.raises(lossd.InvalidArgumentError, match="compression: got 'zip', expected 'lz4'"):
        lossd.Client(compression="zip")  # type: ignore[arg-type]


def test_bytes_of_a_step() -> None:
    """Batch 2 at 128³, 3 affinities: 235 MB both ways in float32 and int64."""
    service, batch = StubService(), step(128)
    with serving(service) as address, lossd.Client(address) as client:
        client.compute(PLAN, **batch)
        del batch["labels"]
        client.compute(PLAN, **batch, labels_from_gt_seg=OFFSETS)
        with lossd.Client(address, compression="lz4") as compressing:
            compressing.compute(PLAN, **batch, labels_from_gt_seg=OFFSETS)
    for request, most in zip(service.requests, (62e6, 60e6, 53e6), strict=True):
        answer = request.predictions[0].tensor
        assert request.ByteSize() + answer.ByteSize() < most

"""Writes the inputs that fuzzing begins with: python tests/fuzz/seeds.py."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import lz4.frame
import numpy as np

from lossd.v1 import service_pb2, tensor_pb2

CORPUS = pathlib.Path(__file__).parent / "corpus"

PLANS = {
    "bce": "[{function: PerChannelBCEWithLogitsLoss, weight: 1.0}]",
    "malis": "[{function: MalisLoss, kwargs: {reduction: sum, malis_crop_size: [2, 3, 4]}}]",
    "two": "[{function: DiceLoss}, {function: MSELoss, pred_slice: '0:1', target_slice: '0:1'}]",
    "heads": "{heads: {aff: {num_channels: 3}}, losses: [{function: MSELoss, pred: aff}]}",
    "balanced": "{loss_balancing: {strategy: uncertainty}, losses: [{function: SmoothL1Loss}]}",
    "json": '[{"function": "CrossEntropyLoss", "task_name": "x", "loss_clamp": [-1, 2]}]',
    "wrong": "[{function: Nonesuch, weigth: .inf}, *anchor]",
}
DTYPES = {
    "float32": tensor_pb2.D_TYPE_FLOAT32,
    "uint8": tensor_pb2.D_TYPE_UINT8,
    "int64": tensor_pb2.D_TYPE_INT64,
    "bool": tensor_pb2.D_TYPE_BOOL,
}
RANDOM = np.random.default_rng(0)


def tensor(array: np.ndarray[Any, Any]) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(
        dtype=DTYPES[array.dtype.name], shape=array.shape, data=array.tobytes()
    )


def requests() -> Iterator[tuple[str, service_pb2.ComputeRequest]]:
    shape = (1, 3, 2, 3, 4)
    logits = RANDOM.standard_normal(shape, np.float32)
    targets = (RANDOM.random(shape) < 0.5).astype(np.uint8)
    ids = RANDOM.integers(0, 3, (1, *shape[2:]))
    for name, plan in PLANS.items():
        request = service_pb2.ComputeRequest(labels=tensor(targets), gt_seg=tensor(ids))
        request.plan.text = plan
        request.predictions.add(name="aff" if name == "heads" else "output", tensor=tensor(logits))
        if name == "malis":
            request.malis_crop.origins.add()
            request.mask.CopyFrom(tensor(targets[:, :1]))
        if name == "bce":
            request.ClearField("labels")
            for axis in ({"z": -1}, {"y": -1}, {"x": -1}):
                request.labels_from_gt_seg.add(**axis)
        if name == "two":
            request.per_term_gradients = True
            request.mode = service_pb2.MODE_STANDARD
        yield name, request


def stream(request: service_pb2.ComputeRequest) -> bytes:
    """As fuzz_stream takes it: strings that end with a backslash and no second one."""

    def string(text: bytes) -> bytes:
        return text.replace(b"\\", b"\\\\") + b"\\ "

    chunks = []
    tensors = [*(p.tensor for p in request.predictions), request.labels, request.mask]
    for index, message in enumerate(t for t in [*tensors, request.gt_seg] if t.shape):
        chunk = service_pb2.ComputeStreamRequest(tensor=index, data=message.data)
        message.ClearField("data")
        chunks.append(string(chunk.SerializeToString()))
    header = service_pb2.ComputeStreamRequest(header=request)
    # Numbers are taken from the end.
    return string(header.SerializeToString()) + b"".join(chunks) + b"\x07"


def tensors() -> Iterator[tuple[str, tensor_pb2.Tensor]]:
    for name in DTYPES:
        yield name, tensor(np.ones((2, 3), name))
    ids = np.arange(300)
    packed = tensor(ids)
    packed.encoding, packed.data = tensor_pb2.ENCODING_UINT16, ids.astype(np.uint16).tobytes()
    yield "narrow", packed
    bits = tensor(np.ones(11, np.float32))
    bits.encoding, bits.data = tensor_pb2.ENCODING_BITS, b"\xff\x07"
    yield "bits", bits
    small = tensor(np.zeros(1000, np.uint8))
    small.compression, small.data = tensor_pb2.COMPRESSION_LZ4, lz4.frame.compress(small.data)
    small.compressed_bytes = len(small.data)
    yield "lz4", small


def arrays() -> Iterator[tuple[str, bytes]]:
    for name in ("float32", "float64", "float16", "uint16", "int64", "bool"):
        file = io.BytesIO()
        np.save(file, np.asfortranarray(RANDOM.random((2, 3)).astype(name)))
        yield name, file.getvalue()


def configs() -> Mapping[str, bytes]:
    return {
        "config": b"clisten: 0.0.0.0:50051\nallow_plaintext: true\nthreads: 4\nlog_format: json\n",
        "tls": b"ctls_cert: a.pem\ntls_key: b.pem\nreflection: false\nmax_cost: 1e9\n",
        "tokens": b"t# who\nann:correct-horse-battery\nbob:another-horse-battery\n",
        "address": b"l[::1]:50051",
        "unix": b"lunix:/run/lossd.sock",
        "token": b"mBearer correct-horse-battery",
        "trace": b"m00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


def write(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main() -> None:
    for name, plan in PLANS.items():
        write("plan", name, plan.encode())
    for name, request in requests():
        write("request", name, request.SerializeToString())
        write("stream", name, stream(request))
    for name, message in tensors():
        write("tensor", name, message.SerializeToString())
    for name, file in arrays():
        write("npy", name, file)
    for name, config in configs().items():
        write("config", name, config)
    write("segments", "zeros", bytes(200))
    write("segments", "ones", bytes([255]) * 200)


if __name__ == "__main__":
    main()

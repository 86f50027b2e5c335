"""The demo's parts, and a short run of it."""

from __future__ import annotations

import pathlib
import sys

import batches
import h5py
import neurites
import numpy as np
import numpy.typing as npt
import oracle
import overlap
import pytest
import segments
import tifffile
import torch
import train
from local_server import LocalServer, server_binary

import lossd
import lossd.torch


@pytest.fixture
def volume() -> npt.NDArray[np.int32]:
    return neurites.make_neurites((12, 24, 24), 8, np.random.default_rng(0), growth=8)


def test_neurites_fill_the_volume(volume: npt.NDArray[np.int32]) -> None:
    assert len(np.unique(volume)) > 6
    assert (volume > 0).mean() > 0.5
    again = neurites.make_neurites((12, 24, 24), 8, np.random.default_rng(0), growth=8)
    np.testing.assert_array_equal(volume, again)


def test_eroded_objects_do_not_touch(volume: npt.NDArray[np.int32]) -> None:
    eroded = neurites.erode(volume)
    assert set(np.unique(eroded)) <= set(np.unique(volume))
    for axis in range(3):
        a, b = np.delete(eroded, 0, axis), np.delete(eroded, -1, axis)
        assert not ((a != b) & (a > 0) & (b > 0)).any()


def test_affinities_join_the_voxels_of_an_object(volume: npt.NDArray[np.int32]) -> None:
    joined, exists = neurites.affinities(volume)
    for channel, z, y, x in np.ndindex(*joined.shape):
        other = np.add((z, y, x), neurites.NHOOD[channel])
        inside = bool((other >= 0).all())
        assert exists[channel, z, y, x] == inside
        same = inside and 0 < volume[z, y, x] == volume[tuple(other)]
        assert joined[channel, z, y, x] == same
    components = oracle.connected_components(joined)
    assert ((components > 0) <= (volume > 0)).all()


def test_segments_are_what_strong_affinities_connect(volume: npt.NDArray[np.int32]) -> None:
    rng = np.random.default_rng(0)
    joined, _ = neurites.affinities(neurites.erode(volume))
    strong = joined & (rng.random(joined.shape) < 0.6)
    affinities = np.where(strong, 0.9, 0.3).astype(np.float32)
    found = segments.segment(affinities)
    expected = oracle.connected_components(strong)
    np.testing.assert_array_equal(found == 0, expected == 0)
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(found)) == len(np.unique(expected))
    assert (segments.segment(affinities, 0.95) == 0).all()


def test_pair_score() -> None:
    truth = np.array([0, 1, 1, 1, 1, 2, 2, 2, 2])
    score = segments.pair_score
    assert score(truth, truth + 3) == pytest.approx(1)
    assert score(truth, np.ones_like(truth)) == pytest.approx(2 * 32 / (32 + 64))
    assert score(truth, np.array([0, 1, 1, 2, 2, 3, 3, 3, 3])) == pytest.approx(2 * 24 / (32 + 24))
    assert score(truth, np.zeros_like(truth)) == pytest.approx(2 * 8 / (32 + 8))


def test_the_best_threshold() -> None:
    truth = np.array([[[1, 1, 2, 2]]])
    affinities = np.zeros((3, 1, 1, 4), np.float32)
    affinities[2, 0, 0] = 0, 0.85, 0.65, 0.85  # The middle edge joins them up to 0.6.
    assert segments.best_threshold(truth, affinities) == (1, 0.8)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".tif"])
def test_segmentations_load(
    tmp_path: pathlib.Path, volume: npt.NDArray[np.int32], suffix: str
) -> None:
    path = tmp_path / f"seg{suffix}"
    labels = volume.astype(np.uint16)
    if suffix == ".npy":
        np.save(path, labels)
    elif suffix == ".npz":
        np.savez(path, image=labels[0] / 2, seg=labels)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["volumes/image"] = labels / 2
            file["volumes/labels/ids"] = labels
    else:
        tifffile.imwrite(path, labels)
    loaded = batches.load_segmentation(path)
    assert loaded.dtype == np.uint16
    np.testing.assert_array_equal(loaded, labels)


def test_files_without_a_segmentation_are_refused(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((3, 3, 3), np.float32))
    for name, words in (("image.npy", "float32"), ("seg.txt", r"\.npy, \.npz")):
        with pytest.raises(ValueError, match=words):
            batches.load_segmentation(tmp_path / name)


def run(monkeypatch: pytest.MonkeyPatch, out: pathlib.Path, *arguments: str) -> int:
    np.save(out / "seg.npy", neurites.make_neurites((24, 24, 24), 12, np.random.default_rng(0)))
    common = [f"--server={server_binary()}", f"--out={out}", f"--seg={out / 'seg.npy'}"]
    monkeypatch.setattr(sys, "argv", ["train.py", "--crop=16", *common, *arguments])
    return train.main()


def test_the_demo_trains_and_draws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "--steps=5") == 0
    assert (tmp_path / "training.png").stat().st_size > 10_000
    assert (tmp_path / "network.pt").exists()
    shown = capsys.readouterr().out
    assert shown.count("step   5/5  loss") == 2
    assert "segmentation with MALIS: " in shown
    assert "segmentation without MALIS: " in shown
    assert str(tmp_path / "training.png") in shown


def test_the_demo_fails_loudly_when_nothing_is_learned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "LEARNING_RATE", 0.0)
    assert run(monkeypatch, tmp_path, "--steps=2") == 1
    assert "FAILED" in capsys.readouterr().err


def test_both_forms_of_a_step_give_the_same_gradient(
    server: LocalServer, volume: npt.NDArray[np.int32]
) -> None:
    drawn = batches.Batches(volume, 12, 0)
    micro_batches = [drawn.draw() for _ in range(2)]
    network = overlap.SleepingNetwork(0.3)
    seconds, gradients = {}, []
    with lossd.Client(server.address) as client:
        criterion = lossd.torch.RemoteLoss(client, overlap.HERE / "plan.yaml")
        for step in (overlap.one_after_the_other, overlap.overlapped):
            network.zero_grad()
            seconds[step] = overlap.seconds_a_step(step, 1, network, criterion, micro_batches)
            gradients.append(network.scale.grad)
    first, second = (torch.as_tensor(gradient) for gradient in gradients)
    assert first
    assert torch.equal(first, second)
    assert all(0.6 <= value < 3 for value in seconds.values())


def test_the_gain_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--size=16", "--network-seconds=0.2", "--steps=1"]
    server = f"--server={server_binary()}"
    monkeypatch.setattr(sys, "argv", ["overlap.py", *flags, server])
    overlap.main()
    shown = capsys.readouterr().out
    assert "network alone        0.2" in shown
    assert "overlapped " in shown

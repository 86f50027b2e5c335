"""Arrays of other kinds of files, as lossctl reads them."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from local_server import server_binary

from lossd import convert

ARRAY = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def write(path: pathlib.Path, *names: str) -> None:
    """The array, times two under the second name."""
    arrays = {name: ARRAY * factor for factor, name in enumerate(names, 1)}
    if path.suffix == ".npz":
        np.savez_compressed(path, allow_pickle=False, **arrays)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, ARRAY)
    elif path.suffix == ".zarr":
        group = zarr.open_group(str(path), mode="w")
        for name, array in arrays.items():
            group.create_array(name, data=array)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array


def converted(source: pathlib.Path | str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    output = pathlib.Path(str(source).partition(":")[0]).parent / "out.npy"
    assert convert.main([str(source), str(output)]) == 0
    array: np.ndarray[tuple[int, ...], np.dtype[np.uint16]] = np.load(output, allow_pickle=False)
    return array


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.hdf5", "a.tif", "a.zarr"])
def test_the_only_array_need_not_be_named(tmp_path: pathlib.Path, name: str) -> None:
    write(tmp_path / name, "main")
    array = converted(tmp_path / name)
    assert array.dtype == ARRAY.dtype
    np.testing.assert_array_equal(array, ARRAY)


@pytest.mark.parametrize("kind", ["npz", "h5", "zarr"])
def test_one_of_several(
    tmp_path: pathlib.Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{kind}"
    names = ("raw", "labels") if kind == "npz" else ("raw", "volumes/labels")
    write(path, *names)
    np.testing.assert_array_equal(converted(f"{path}:{names[1]}"), 2 * ARRAY)
    for source in (f"{path}", f"{path}:other"):
        assert convert.main([source, str(tmp_path / "none.npy")]) == 1
        told = capsys.readouterr().err
        assert "raw" in told
        assert names[1] in told
    assert not (tmp_path / "none.npy").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.xyz", "expected .npz"), ("missing.h5", "no such file"), ("a.tif:x", "expected none")],
)
def test_what_cannot_be_read(
    tmp_path: pathlib.Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.tif")
    assert convert.main([str(tmp_path / name), str(tmp_path / "out.npy")]) == 1
    assert message in capsys.readouterr().err


def test_lossctl_reads_it(tmp_path: pathlib.Path) -> None:
    """As docs/cpp.md has it, from big-endian affinities and a compressed segmentation."""
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["affinities"] = np.full((3, 1, 1, 2), 0.25, ">f4")
        file.create_dataset("seg", data=np.ones((1, 1, 2), np.uint64), compression="gzip")
    for name in ("affinities", "seg"):
        command = [sys.executable, "-m", "lossd.convert", f"volume.h5:{name}", f"{name}.npy"]
        subprocess.run(command, cwd=tmp_path, check=True)
    lossctl = server_binary().parents[1] / "client" / "cpp" / "lossctl"
    malis = [str(lossctl), "malis", "--affinities=affinities.npy", "--gt_seg=seg.npy"]
    shown = subprocess.run(malis, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "1 of 6" in shown.stdout

"""Writes an array of another kind of file as the .npy file that lossctl reads.

    python -m lossd.convert volume.h5:main volume.npy

Reads .npz, HDF5 (.h5, .hdf5, with h5py), TIFF (.tif, .tiff, with tifffile) and Zarr (.zarr, with
zarr). After a colon comes which array is meant, where the file holds several.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SOURCE = re.compile(r"(?P<path>.*?\.(?P<kind>npz|h5|hdf5|tiff?|zarr)/?)(?::(?P<name>.*))?")


class ConversionError(ValueError):
    """What is asked for cannot be read."""


def read(source: str) -> Array:
    """The array that a source such as "volume.h5:main" names.

    Raises:
        ConversionError: It is no such file, or does not say which of its arrays is meant.
        OSError: It cannot be read.
        ImportError: The package that reads it is not installed.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise ConversionError(
            f"{source}: got another kind of file, expected .npz, .h5, .hdf5, .tif, .tiff or .zarr"
        )
    path = pathlib.Path(match["path"])
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    return _READERS[match["kind"]](path, match["name"])


def _read_npz(path: pathlib.Path, name: str | None) -> Array:
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(_pick(path, arrays, list(arrays.files), name))


def _read_hdf5(path: pathlib.Path, name: str | None) -> Array:
    import h5py

    with h5py.File(path) as file:
        names: list[str] = []
        file.visititems(lambda at, node: names.append(at) if hasattr(node, "shape") else None)
        return np.asarray(_pick(path, file, names, name)[...])


def _read_tiff(path: pathlib.Path, name: str | None) -> Array:
    import tifffile

    if name is not None:
        raise ConversionError(f"{path}: got the array {name!r}, expected none, as it has one")
    return np.asarray(tifffile.imread(path))


def _read_zarr(path: pathlib.Path, name: str | None) -> Array:
    import zarr

    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return np.asarray(node[...])
    names = [at for at, member in node.members(max_depth=None) if isinstance(member, zarr.Array)]
    return np.asarray(_pick(path, node, names, name)[...])


def _pick(path: pathlib.Path, arrays: Any, names: list[str], name: str | None) -> Any:
    if name is None and len(names) == 1:
        return arrays[names[0]]
    known = ", ".join(sorted(names))
    if name is None:
        raise ConversionError(f"{path}: has the arrays {known}; say which as {path}:NAME")
    name = name.strip("/")
    if name not in names:
        raise ConversionError(f"{path}: got the array {name!r}, expected one of {known}")
    return arrays[name]


_READERS: Mapping[str, Callable[[pathlib.Path, str | None], Array]] = {
    "npz": _read_npz,
    "h5": _read_hdf5,
    "hdf5": _read_hdf5,
    "tif": _read_tiff,
    "tiff": _read_tiff,
    "zarr": _read_zarr,
}


def main(arguments: list[str] | None = None) -> int:
    """Converts what the command line says; the exit status."""
    parser = argparse.ArgumentParser("python -m lossd.convert", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", help="FILE or FILE:ARRAY")
    parser.add_argument("output", help="the .npy file to write")
    options = parser.parse_args(arguments)
    try:
        array = np.ascontiguousarray(read(options.source))
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        with pathlib.Path(options.output).open("wb") as file:
            np.save(file, array, allow_pickle=False)
    except (ConversionError, OSError, ImportError) as error:
        print(f"lossd.convert: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {array.dtype} {list(array.shape)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

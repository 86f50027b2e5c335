"""What is shipped: the wheel with the server, the wheels of the SDK alone, the tarball."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from local_server import ROOT, server_binary

import lossd

# The C library's own, which every program takes from its machine.
GLIBC = re.compile(r"(linux-vdso|ld-linux-.*|lib(c|m|dl|rt|pthread|util|resolv))\.so")

FIRST_LOSS = """
import logging, time
import numpy as np, lossd
logging.basicConfig(level=logging.INFO)
outputs = np.zeros((1, 3, 8, 8, 8), np.float32)
labels = np.arange(outputs.size).reshape(outputs.shape) % 2
with lossd.Client() as client:
    result = client.compute([{"function": "BCEWithLogitsLoss"}], outputs, labels)
print(round(result.total, 4), abs(result.gradients["output"]).sum().round(4))
def seconds_to_start():
    start = time.perf_counter()
    with lossd.LocalServer():
        return time.perf_counter() - start
print(min(seconds_to_start() for _ in range(3)))
"""

FIRST_STEP = """
import torch, lossd.torch
criterion = lossd.torch.RemoteLoss([{"function": "BCEWithLogitsLoss"}])
outputs = torch.zeros(1, 3, 8, 8, 8, requires_grad=True)
loss, _ = criterion(outputs, torch.ones(outputs.shape))
loss.backward()
print(round(loss.item(), 4), outputs.grad.sum().item())
"""


def run(*command: str | pathlib.Path, environment: Mapping[str, str] | None = None) -> str:
    """What it prints; in the environment given alone, or in none."""
    done = subprocess.run(
        command, env=environment or {}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build() -> pathlib.Path:
    """The build tree that the server lies in."""
    tree = server_binary().resolve().parents[1]
    if not (tree / "client" / "cpp" / "lossctl").exists():
        pytest.skip(f"{server_binary()} is not in a build tree with lossctl")
    return tree


@pytest.fixture(scope="module")
def wheel(build: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("wheel")
    script = ROOT / "scripts" / "wheel.py"
    run(sys.executable, script, build, folder, environment=os.environ)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def site(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The packages of a fresh environment with that wheel, which sees those of this one."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install"]
    run(*pip, "--quiet", "--no-index", "--no-deps", wheel)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "shared.pth").write_text(str(pathlib.Path(torch.__file__).parents[1]))
    return packages


def bin_of(site: pathlib.Path) -> pathlib.Path:
    return site.parents[2] / "bin"


def foreign_libraries(
    program: pathlib.Path, *folders: pathlib.Path, environment: Mapping[str, str] | None = None
) -> list[str]:
    """What a program loads from elsewhere, but for the C library."""
    lines = run("/usr/bin/ldd", program, environment=environment).splitlines()
    found = [line.split() for line in lines]
    assert len(found) > 30
    return [
        " ".join(words)
        for words in found
        if not GLIBC.match(pathlib.Path(words[0]).name)
        and not any(words[2].startswith(f"{folder}/") for folder in folders)
    ]


def weigh_one_edge(lossctl: pathlib.Path, folder: pathlib.Path) -> None:
    """Runs a command that needs LibTorch."""
    np.save(folder / "affinities.npy", np.full((3, 1, 1, 2), 0.25, np.float32))
    np.save(folder / "seg.npy", np.ones((1, 1, 2), np.uint8))
    files = [f"--affinities={folder / 'affinities.npy'}", f"--gt_seg={folder / 'seg.npy'}"]
    assert "1 of 6" in run(lossctl, "malis", *files)


def test_the_wheel_says_what_it_is_for_and_made_of(wheel: pathlib.Path) -> None:
    glibc = platform.libc_ver()[1].replace(".", "_")
    tag = f"py3-none-manylinux_{glibc}_{platform.machine()}"
    assert wheel.name == f"lossd-{lossd.__version__}-{tag}.whl"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"lossd-{lossd.__version__}.dist-info/METADATA").decode()
        names = archive.namelist()
        bill = archive.read(f"lossd-{lossd.__version__}.dist-info/sboms/lossd.cdx.json")
    minor = ".".join(torch.__version__.split(".")[:2])
    assert f"\nRequires-Dist: torch=={minor}.*\n" in metadata
    # Each package that is brought along is listed, and its terms are there.
    parts = {part["name"] for part in json.loads(bill)["components"]}
    terms = {pathlib.Path(name).stem for name in names if name.startswith("lossd/native/licenses/")}
    assert len(parts) > 10
    assert terms == parts | {"lossd"}


@pytest.mark.parametrize("name", ["bin/lossd", "bin/lossctl", "libexec/lossctl-tensors"])
def test_programs_of_the_wheel_need_torch_and_the_c_library_alone(
    site: pathlib.Path, name: str
) -> None:
    libraries = pathlib.Path(torch.__file__).parent / "lib"
    program = site / "lossd" / "native" / name
    packages = libraries.parents[1]
    assert not foreign_libraries(
        program, program.parents[1], packages, environment={"LD_LIBRARY_PATH": str(libraries)}
    )


def test_the_wheel_brings_commands(site: pathlib.Path) -> None:
    version = run(bin_of(site) / "lossd", "--version")
    assert version.startswith(f"lossd {lossd.__version__} (commit ")
    assert f", LibTorch {torch.__version__.partition('+')[0]}, " in version
    assert "with CUDA)" in version or "without CUDA)" in version
    assert run(bin_of(site) / "lossctl", "--version").strip() == lossd.__version__
    assert "check-plan" in run(bin_of(site) / "lossctl", "--help")
    assert sorted(path.name for path in bin_of(site).glob("loss*")) == ["lossctl", "lossd"]


def test_lossctl_of_the_wheel_works_on_tensors(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    weigh_one_edge(bin_of(site) / "lossctl", tmp_path)


def test_without_torch_the_commands_say_so(site: pathlib.Path) -> None:
    """With -S there are no packages, the wheel's own among them: they are named again."""
    code = "import sys; sys.path.append(sys.argv.pop()); import runpy; "
    code += f"runpy.run_path({str(site / 'lossd' / 'programs.py')!r})['run']('lossd')"
    command = [sys.executable, "-S", "-c", code, str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "need PyTorch" in done.stderr


def test_a_fresh_environment_computes_at_once(site: pathlib.Path) -> None:
    results, seconds = run(bin_of(site) / "python", "-c", FIRST_LOSS).splitlines()
    # ln 2, and half of what 1/N is for N elements.
    assert results == "0.6931 0.5"
    assert float(seconds) < 2


def test_a_fresh_environment_trains_at_once(site: pathlib.Path) -> None:
    assert run(bin_of(site) / "python", "-c", FIRST_STEP) == "0.6931 -0.5\n"


def test_the_sdk_alone_is_pure(tmp_path: pathlib.Path) -> None:
    """Its source distribution, and the wheel that is made of it."""
    sources = ROOT / "client" / "python"
    options = ["--no-isolation", f"--outdir={tmp_path}"]
    run(sys.executable, "-m", "build", *options, sources, environment=os.environ)
    assert (tmp_path / f"lossd-{lossd.__version__}.tar.gz").exists()
    with zipfile.ZipFile(tmp_path / f"lossd-{lossd.__version__}-py3-none-any.whl") as archive:
        names = archive.namelist()
        metadata = archive.read(f"lossd-{lossd.__version__}.dist-info/METADATA").decode()
    assert "lossd/v1/service_pb2.py" in names
    assert not [name for name in names if "native" in name or "scripts" in name]
    assert "Requires-Dist: torch" not in metadata.replace("Requires-Dist: torch>=2.4; extra", "")


def test_the_tarball_runs_wherever_it_lies(build: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run(ROOT / "scripts" / "tarball.sh", build, tmp_path, environment=os.environ)
    (path,) = tmp_path.iterdir()
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    path.unlink()
    folder = tmp_path / path.name.removesuffix(".tar.gz")
    for name in ("lossd", "lossctl"):
        assert lossd.__version__ in run(folder / "bin" / name, "--version")
        assert not foreign_libraries(folder / "bin" / name, folder)
    assert not foreign_libraries(folder / "libexec" / "lossctl-tensors", folder)
    weigh_one_edge(folder / "bin" / "lossctl", tmp_path)
    outputs = np.zeros((1, 3, 8, 8, 8), np.float32)
    with (
        lossd.LocalServer(binary=folder / "bin" / "lossd") as server,
        lossd.Client(server.address) as client,
    ):
        result = client.compute([{"function": "BCEWithLogitsLoss"}], outputs, outputs)
    assert result.total == pytest.approx(np.log(2))
    shutil.rmtree(folder)

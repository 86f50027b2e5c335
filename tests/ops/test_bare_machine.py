"""The wheel on a Debian that has Python, and the wheel's dependencies at hand, and nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import zipfile

import pytest
import torch
from local_server import server_binary
from machine import machine, run_inside
from packaging.requirements import Requirement
from programs import ROOT

SITE = pathlib.Path(torch.__file__).parents[1]

# What a user would type, and how long a server takes to start.
FIRST_LOSS = """
import time
import numpy as np, lossd
outputs = np.zeros((1, 3, 32, 32, 32), np.float32)
labels = np.arange(outputs.size).reshape(outputs.shape) % 2
with lossd.Client() as client:
    result = client.compute([{"function": "BCEWithLogitsLoss"}], outputs, labels)
slope = abs(result.gradients["output"]).sum()
print(f"first loss {result.total:.4f}, gradient {slope:.1f}")
start = time.perf_counter()
with lossd.LocalServer():
    print(f"started in {time.perf_counter() - start:.2f} s")
"""


def wanted(requirements: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """The distributions of this environment that are asked for, and those that these ask for."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        if (marker := requirement.marker) and not marker.evaluate({"extra": extra}):
            continue
        name = requirement.name
        for wish in {"", *requirement.extras}:
            if (name, wish) not in seen:
                seen.add((name, wish))
                found[name] = importlib.metadata.distribution(name)
                waiting += [(Requirement(text), wish) for text in found[name].requires or []]
    return found


def put_at_hand(wheel: pathlib.Path, folder: pathlib.Path) -> None:
    """Installs what a wheel asks for, by links into this environment."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        asked = re.findall(r"^Requires-Dist: (.+)$", archive.read(name).decode(), re.MULTILINE)
    for distribution in wanted(asked).values():
        for top in {file.parts[0] for file in distribution.files or []} - {".."}:
            if not os.path.lexists(folder / top):
                (folder / top).symlink_to(SITE / top)


@pytest.mark.clusters
def test_from_pip_install_to_the_first_loss_in_20_seconds(
    scratch: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    build = server_binary().resolve().parents[1]
    script = ROOT / "scripts" / "wheel.py"
    subprocess.run([sys.executable, script, build, tmp_path], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with machine(scratch / "bare") as root:
        run_inside(root, "python3", "-m", "venv", "/venv", shown=SITE)
        (packages,) = root.glob("venv/lib/python3*/site-packages")
        put_at_hand(wheel, packages)
        shutil.copy(wheel, root / wheel.name)
        (root / "first.py").write_text(FIRST_LOSS)
        start = time.perf_counter()
        install = f"/venv/bin/pip install --quiet --no-index /{wheel.name}"
        first = f"{install} && /venv/bin/python /first.py"
        said = run_inside(root, "bash", "-c", first, shown=SITE)
        seconds = time.perf_counter() - start
    # ln 2, and half of what 1/N is for N elements.
    assert "first loss 0.6931, gradient 0.5\n" in said
    starting = re.search(r"started in (\S+) s", said)
    assert starting is not None
    print(f"{seconds:.1f} s, a server's {starting[0]}")
    assert seconds < 20
    assert float(starting[1]) < 2

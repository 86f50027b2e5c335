"""Builds the wheel that brings the server: the SDK's own wheel, and in it what pack.sh gathers.

python scripts/wheel.py BUILD FOLDER
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SDK = ROOT / "client" / "python"

# A console command: `#!python` becomes the interpreter of the environment when it is installed. It
# runs lossd/programs.py by its path, as importing the package takes longer than most commands.
COMMAND = """\
#!python
import importlib.util, pathlib, runpy

folder = pathlib.Path(importlib.util.find_spec("lossd").origin).parent
runpy.run_path(str(folder / "programs.py"))["run"]("{name}")
"""


def build_sdk(folder: pathlib.Path) -> pathlib.Path:
    """The SDK's wheel, unpacked; its folder."""
    # From a copy without what earlier builds have left beside the sources.
    source = folder / "source"
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(SDK, source, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"]
    options = ["--no-deps", "--no-build-isolation", f"--wheel-dir={folder}"]
    subprocess.run([*pip, *options, source], check=True)
    (wheel,) = folder.glob("*.whl")
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    return unpacked


def add_programs(build: pathlib.Path, wheel: pathlib.Path, info: pathlib.Path) -> None:
    """Puts programs, libraries and licences into the package, commands and list beside it."""
    pack = wheel / "lossd" / "native"
    subprocess.run([ROOT / "scripts" / "pack.sh", build, pack, "--without-libtorch"], check=True)
    # Where PEP 770 has it.
    (info / "sboms").mkdir()
    (pack / "sbom.cdx.json").rename(info / "sboms" / "lossd.cdx.json")
    commands = info.with_suffix(".data") / "scripts"
    commands.mkdir(parents=True)
    for program in (pack / "bin").iterdir():
        command = commands / program.name
        command.write_text(COMMAND.format(name=program.name))
        command.chmod(0o755)


def tag() -> str:
    """What machines it is for: those whose C library is at least this one's."""
    glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ").replace(".", "_")
    return f"py3-none-manylinux_{glibc}_{platform.machine()}"


def describe(info: pathlib.Path) -> None:
    """Says for which machines the wheel is, and with which LibTorch."""
    (info / "WHEEL").write_text(
        f"Wheel-Version: 1.0\nGenerator: lossd\nRoot-Is-Purelib: false\nTag: {tag()}\n"
    )
    # The programs are linked against a minor version: the next one has other symbols.
    major, minor, *_ = importlib.metadata.version("torch").split(".")
    metadata = info / "METADATA"
    text = metadata.read_text()
    first, rest = text.split("Requires-Dist: ", 1)
    metadata.write_text(f"{first}Requires-Dist: torch=={major}.{minor}.*\nRequires-Dist: {rest}")


def pack(wheel: pathlib.Path, info: pathlib.Path, path: pathlib.Path) -> None:
    """Writes the archive, with its RECORD of all files."""
    record = info / "RECORD"
    record.unlink()
    files = sorted(file for file in wheel.rglob("*") if file.is_file())
    lines = [
        f"{name},sha256={digest(file)},{file.stat().st_size}"
        for file in files
        for name in [file.relative_to(wheel)]
    ]
    record.write_text("\n".join([*lines, f"{record.relative_to(wheel)},,", ""]))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in [*files, record]:
            entry = zipfile.ZipInfo(str(file.relative_to(wheel)))
            mode = 0o755 if os.access(file, os.X_OK) else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def digest(file: pathlib.Path) -> str:
    """As RECORD has it."""
    sha256 = hashlib.sha256(file.read_bytes()).digest()
    return base64.urlsafe_b64encode(sha256).rstrip(b"=").decode()


def main() -> None:
    """Builds the wheel and says where it is."""
    build, folder = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_sdk(pathlib.Path(temporary))
        (info,) = wheel.glob("*.dist-info")
        add_programs(build, wheel, info)
        describe(info)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{info.stem}-{tag()}.whl"
        pack(wheel, info, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

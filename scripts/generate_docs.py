"""Writes what is generated in docs/, but for the tables of losses, which a unit test in C++ writes.

.venv/bin/python scripts/generate_docs.py build/release/client/cpp/lossctl
"""

from __future__ import annotations

import pathlib
import re
import sys

import draw_malis
import sizing
import wire_reference

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


def generated(lossctl: pathlib.Path) -> dict[str, str]:
    """The files of docs/ that are generated or have a part that is, and what they should hold."""
    return {
        "wire.md": wire_reference.reference(wire_reference.read_contract()),
        "pictures/mistakes.svg": draw_malis.draw_mistakes(lossctl),
        "pictures/crop.svg": draw_malis.draw_crop(),
        "sizing.md": _with_part("sizing.md", "sizes", sizing.table()),
    }


def _with_part(name: str, part: str, text: str) -> str:
    """A page whose text between the two comments of that name is replaced."""
    page = (DOCS / name).read_text()
    between = rf"(<!-- begin generated {part} -->\n).*?(<!-- end generated {part} -->\n)"

    def written(match: re.Match[str]) -> str:
        return f"{match[1]}{text}{match[2]}"

    replaced, found = re.subn(between, written, page, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{name}: there are {found} places for {part}, expected 1")
    return replaced


if __name__ == "__main__":
    for file, content in generated(pathlib.Path(sys.argv[1])).items():
        (DOCS / file).write_text(content)

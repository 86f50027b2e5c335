"""Writes what the programs are made of, as CycloneDX 1.6.

python3 scripts/sbom.py VERSION <PARTS >sbom.cdx.json

Each line of PARTS is of a package of the distribution or of PyPI, `deb NAME VERSION TERMS` or
`pypi NAME VERSION TERMS`, where TERMS is a file. The same parts give the same bytes.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import urllib.parse
import uuid
from typing import Any

Component = dict[str, Any]

DISTRIBUTIONS = {"deb": "deb/debian", "pypi": "pypi"}


def licences(terms: pathlib.Path) -> list[Component]:
    """Those that a package's terms name, where they are written for machines."""
    text = terms.read_text(errors="replace") if terms.is_file() else ""
    if terms.name == "METADATA":
        names = re.findall(r"^License-Expression: (.+)$", text, re.MULTILINE)
        names = names or re.findall(r"^License: (.+)$", text, re.MULTILINE)
    elif text.startswith("Format: "):
        names = re.findall(r"^License: *(\S.*)$", text, re.MULTILINE)
    else:
        names = []
    return [{"license": {"name": name.strip()}} for name in sorted(set(names))]


def component(line: str) -> Component:
    """A part, from its line."""
    kind, name, version, terms = line.split(maxsplit=3)
    quoted = urllib.parse.quote(version, safe="")
    purl = f"pkg:{DISTRIBUTIONS[kind]}/{urllib.parse.quote(name, safe='')}@{quoted}"
    found: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    if named := licences(pathlib.Path(terms)):
        found["licenses"] = named
    return {**found, "purl": purl}


def bill_of_materials(version: str, lines: list[str]) -> Component:
    """The whole document."""
    parts = {part["purl"]: part for part in map(component, sorted(lines))}
    program: Component = {
        "type": "application",
        "bom-ref": f"pkg:generic/lossd@{version}",
        "name": "lossd",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": f"pkg:generic/lossd@{version}",
    }
    identity = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([program["purl"], *parts]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identity}",
        "version": 1,
        "metadata": {"component": program},
        "components": list(parts.values()),
        "dependencies": [{"ref": program["bom-ref"], "dependsOn": sorted(parts)}],
    }


if __name__ == "__main__":
    print(json.dumps(bill_of_materials(sys.argv[1], sys.stdin.read().splitlines()), indent=1))

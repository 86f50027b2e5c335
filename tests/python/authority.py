"""Certificates for tests, made by the program `openssl`."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Certified:
    """A certificate and its key, in PEM files."""

    certificate: pathlib.Path
    key: pathlib.Path


class Authority:
    """Signs certificates.

    Attributes:
        certificate: Its own, in a PEM file.

    Args:
        folder: Where the files go.
        name: Its own.
    """

    def __init__(self, folder: pathlib.Path, name: str = "authority") -> None:
        self._folder = folder
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-days", "2", "-subj", f"/CN={name}"),
            *_new_key(self._key),
            *("-out", self.certificate),
        )

    def certify(self, name: str, *, names: str = _NAMES, days: int = 2) -> Certified:
        """A certificate for that common name, valid for so many days from now."""
        made = Certified(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(names)
        _openssl("req", "-subj", f"/CN={name}", *_new_key(made.key), "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key),
            *("-days", str(days), "-extfile", extensions, "-out", made.certificate),
        )
        return made


def _new_key(path: pathlib.Path) -> tuple[str | pathlib.Path, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    return (*curve, "-nodes", "-keyout", path)


def _openssl(*arguments: str | pathlib.Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

"""TLS: how a client makes sure of its server, and lets the server make sure of it."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import grpc

from lossd.errors import InvalidArgumentError

# PEM itself, or the path of a file of it.
Pem = bytes | str | os.PathLike[str]

# Where the environment says the same; any of them switches TLS on, the first with gRPC's own roots.
_SWITCH = "LOSSD_TLS"
_VARIABLES = {
    "root_certificates": "LOSSD_TLS_CA",
    "certificate": "LOSSD_TLS_CERT",
    "key": "LOSSD_TLS_KEY",
    "server_name": "LOSSD_TLS_SERVER_NAME",
}


@dataclasses.dataclass(frozen=True)
class Tls:
    """Talks to the server over TLS. Files are read whenever a connection is made.

    Attributes:
        root_certificates: Those of the authorities one of which must have signed the server's, in
            PEM; those that gRPC brings along when None.
        certificate: The client's own, where the server asks for one, and those that lead to its
            authority; in PEM.
        key: Its private key, in PEM without a passphrase.
        server_name: What the server's certificate must be for; the address's host when None. Needed
            for several servers with commas in between.
    """

    root_certificates: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = dataclasses.field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError for half a certificate."""
        if (self.certificate is None) != (self.key is None):
            absent = "certificate" if self.certificate is None else "key"
            raise InvalidArgumentError(
                f"tls.{absent}: got none, expected one, as a certificate and its key belong "
                "together",
                field=f"tls.{absent}",
            )

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel that is made now.

        Raises:
            InvalidArgumentError: A file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.root_certificates, "root_certificates"),
            private_key=_read(self.key, "key"),
            certificate_chain=_read(self.certificate, "certificate"),
        )

    @property
    def options(self) -> dict[str, str]:
        """Those of a channel that go with it."""
        return {"grpc.ssl_target_name_override": self.server_name} if self.server_name else {}


def tls_of_environment() -> Tls | None:
    """What LOSSD_TLS_CA, LOSSD_TLS_CERT, LOSSD_TLS_KEY and LOSSD_TLS_SERVER_NAME say.

    LOSSD_TLS=1 alone is TLS with the authorities that gRPC brings along, 0 none whatever the others
    say. None without TLS.
    """
    given = {
        name: value for name, variable in _VARIABLES.items() if (value := os.environ.get(variable))
    }
    switch = os.environ.get(_SWITCH)
    return Tls(**given) if switch != "0" and (given or switch) else None


def _read(pem: Pem | None, name: str) -> bytes | None:
    if pem is None or isinstance(pem, bytes):
        return pem
    try:
        return pathlib.Path(pem).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"tls.{name}: {error}", field=f"tls.{name}") from None

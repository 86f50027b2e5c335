"""Who a client is, to its server: what the connection proves, and what each call says."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import socket
from collections.abc import Callable

from lossd.errors import InvalidArgumentError
from lossd.tls import Tls, tls_of_environment

# A bearer token; the path of a file that holds one, or what gives one, asked at each call.
Token = str | os.PathLike[str] | Callable[[], str]

# What a call says along with its message.
Metadata = tuple[tuple[str, str], ...]

_TOKEN_VARIABLE = "LOSSD_TOKEN"
_TOKEN_FILE_VARIABLE = "LOSSD_TOKEN_FILE"

_MAX_NAME = 128
_WORD = re.compile("[!-~]+")


@dataclasses.dataclass(frozen=True)
class Access:
    """What a client was told about it.

    Attributes:
        tls: Whether and how it talks over TLS; what the environment says when None.
        token: Lets it in; what the environment says when None.
        name: What it calls itself; its host and process when None.
    """

    tls: Tls | bool | None = None
    token: Token | None = dataclasses.field(default=None, repr=False)
    name: str | None = None

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError for what can be none of it."""
        if not isinstance(self.tls, Tls | bool | None):
            raise InvalidArgumentError(
                f"tls: got {self.tls!r}, expected a lossd.Tls, True or False", field="tls"
            )
        if isinstance(self.token, str):
            _check_token(self.token)
        elif not (
            self.token is None or isinstance(self.token, os.PathLike) or callable(self.token)
        ):
            raise InvalidArgumentError(
                f"token: got {type(self.token).__name__}, expected a string, a path or what gives "
                "a string",
                field="token",
            )
        if self.name is not None and not (_is_word(self.name) and len(self.name) <= _MAX_NAME):
            raise InvalidArgumentError(
                f"client: got {self.name!r}, expected 1 to {_MAX_NAME} characters of printable "
                "ASCII without spaces",
                field="client",
            )

    def current_tls(self) -> Tls | None:
        """How a connection that is made now talks over TLS; None when it does not."""
        if self.tls is None:
            return tls_of_environment()
        return self.tls if isinstance(self.tls, Tls) else Tls() if self.tls else None

    def introduction(self) -> Introduction:
        """What the calls of a connection that is made now say."""
        name = self.name or f"{socket.gethostname()}-{os.getpid()}"
        return Introduction(re.sub("[^!-~]", "-", name)[:_MAX_NAME], self._current_token())

    def _current_token(self) -> Token | None:
        if self.token is not None:
            return self.token
        if path := os.environ.get(_TOKEN_FILE_VARIABLE):
            return pathlib.Path(path)
        token = os.environ.get(_TOKEN_VARIABLE)
        return _check_token(token) if token else None


class Introduction:
    """What each call says of its client.

    Args:
        name: What the client calls itself.
        token: Lets it in, where one is needed.
    """

    def __init__(self, name: str, token: Token | None) -> None:
        self._fixed: Metadata = (("x-lossd-client", name),)
        if isinstance(token, str):
            self._fixed += (_authorization(token),)
        self._token = None if isinstance(token, str) else token

    def metadata(self, traceparent: str | None = None) -> Metadata:
        """That of a call, which belongs to a distributed trace or to none.

        Raises:
            InvalidArgumentError: There is no token where it should be.
        """
        metadata = self._fixed
        if self._token is not None:
            metadata += (_authorization(_read_token(self._token)),)
        if traceparent is not None:
            metadata += (("traceparent", traceparent),)
        return metadata


def _authorization(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def _read_token(token: os.PathLike[str] | Callable[[], str]) -> str:
    if not isinstance(token, os.PathLike):
        return _check_token(token())
    try:
        return _check_token(pathlib.Path(token).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeError) as error:
        raise InvalidArgumentError(f"token: {error}", field="token") from None


def _check_token(token: str) -> str:
    """The token, which must not be shown: whoever sees the error could use it."""
    if not _is_word(token):
        raise InvalidArgumentError(
            "token: got none, or characters that are no printable ASCII or are spaces, expected "
            "printable ASCII without spaces",
            field="token",
        )
    return token


def _is_word(text: object) -> bool:
    return isinstance(text, str) and _WORD.fullmatch(text) is not None

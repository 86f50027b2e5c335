"""Which server is meant, or which servers, in gRPC's words."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from lossd import local_server
from lossd.errors import InvalidArgumentError, UnavailableError

# "host:port" or a target of gRPC's; or several servers, each as "host:port".
Address = str | Sequence[str]

# Where the environment says which server is meant.
ADDRESS_VARIABLE = "LOSSD_ADDRESS"
DEFAULT_ADDRESS = "localhost:50051"

# Calls go to one server after the other, and to none that says that it does not serve.
_SEVERAL = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
    }
)
_LOCAL_SCHEMES = ("unix", "unix-abstract")
# In the order in which gRPC looks for one.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_NO_PROXY_VARIABLES = ("no_grpc_proxy", "no_proxy")


@dataclasses.dataclass(frozen=True)
class Target:
    """What a channel is made with.

    Attributes:
        uri: The target.
        options: The options that go with it.
        several: Whether it is several servers.
        proxy: The proxy that the environment puts in between, as in "http_proxy=http://…"; None
            without one.
    """

    uri: str
    options: Mapping[str, Any]
    several: bool
    proxy: str | None


def check_address(address: Address | None) -> Address | None:
    """The address, as something that cannot change any more.

    Raises:
        InvalidArgumentError: It is none.
    """
    if address is None or (isinstance(address, str) and address):
        return address
    several = () if isinstance(address, str) else tuple(address)
    if not several or not all(isinstance(one, str) and one for one in several):
        raise InvalidArgumentError(
            f'address: got {address!r}, expected "host:port" or several of them', field="address"
        )
    return several


def address_in_words(address: Address | None) -> str:
    """The address that is meant, as one string."""
    return _in_words(address, start=False)


def _in_words(address: Address | None, *, start: bool) -> str:
    """See `address_in_words`; with `start` a server of this process's own is there, too."""
    address = address or os.environ.get(ADDRESS_VARIABLE)
    if not address and local_server.comes_along():
        address = local_server.shared.address(start=start) or "a server for this process"
    address = address or DEFAULT_ADDRESS
    return address if isinstance(address, str) else ",".join(address)


def target_of(address: Address | None) -> Target:
    """Where the address leads now: without one, to a server that is started if need be.

    Raises:
        UnavailableError: Of several names none is known.
        Error: The server cannot be started.
    """
    words = _in_words(address, start=True)
    scheme, colon, rest = words.partition(":")
    has_scheme = bool(colon) and (rest.startswith("//") or scheme in ("ipv4", "ipv6", "dns", "xds"))
    has_scheme = has_scheme or scheme in _LOCAL_SCHEMES
    if "," in words and not has_scheme:
        words, has_scheme = _numeric([one for one in words.split(",") if one]), True
        scheme = words.partition(":")[0]
    several = has_scheme and (scheme == "dns" or "," in words)
    options: dict[str, Any] = {"grpc.service_config": _SEVERAL} if several else {}
    direct = scheme in (*_LOCAL_SCHEMES, "ipv4", "ipv6") if has_scheme else is_loopback(words)
    if direct:
        options["grpc.enable_http_proxy"] = 0
    return Target(words, options, several, None if direct else _proxy(words))


def is_loopback(host_and_port: str) -> bool:
    """Whether that is this machine."""
    host = _host(host_and_port)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _numeric(addresses: list[str]) -> str:
    """Several servers as a target, for which gRPC takes numbers only, all of one kind."""
    found: dict[str, list[str]] = {"ipv4": [], "ipv6": []}
    problem = ""
    for address in addresses:
        host, port = _host(address), address.rpartition(":")[2]
        try:
            results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            problem = f"{address}: {error}"
            continue
        for family, *_, where in results:
            number, numeric_port = str(where[0]), int(where[1])
            if family == socket.AF_INET:
                found["ipv4"].append(f"{number}:{numeric_port}")
            elif family == socket.AF_INET6:
                found["ipv6"].append(f"[{number}]:{numeric_port}")
    for scheme, places in found.items():
        if places:
            return f"{scheme}:{','.join(dict.fromkeys(places))}"
    raise UnavailableError(f"no server has an address: {problem}")


def _host(host_and_port: str) -> str:
    host, colon, _ = host_and_port.rpartition(":")
    return (host if colon else host_and_port).strip("[]")


def _proxy(target: str) -> str | None:
    host = _host(target.rpartition("/")[2])
    for variable in _NO_PROXY_VARIABLES:
        excepted = [name.strip() for name in os.environ.get(variable, "").split(",")]
        if any(name and host.endswith(name) for name in excepted):
            return None
    for variable in _PROXY_VARIABLES:
        if proxy := os.environ.get(variable):
            where = urlsplit(proxy)
            shown = where.netloc.rpartition("@")[2]  # Not the password.
            return f"{variable}={where.scheme}://{shown}"
    return None

"""Certificates, tokens and names: who is let in, and what the log knows of it."""

from __future__ import annotations

import concurrent.futures
import copy
import json
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from authority import Authority, Certified
from local_server import LocalServer, server_binary
from status_port import metrics, value

import lossd
from lossd.transport import Transport
from lossd.v1 import service_pb2, service_pb2_grpc

PLAN = [{"function": "WeightedMSELoss"}]
BATCH = np.ones((1, 1, 2, 3, 4), np.float32)
TOKEN, OTHER_TOKEN = "correct-horse-battery", "another-horse-battery"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRANSPORTS: tuple[Transport, ...] = ("unary", "stream", "shm")
# How long the server may take to notice a file, on any machine.
SOON_SECONDS = 20.0

METHODS: dict[str, Callable[[lossd.Client], object]] = {
    "compute": lambda client: client.compute(PLAN, BATCH, BATCH),
    "submit": lambda client: client.submit(PLAN, BATCH, BATCH).result(),
    "info": lambda client: client.info(),
    "losses": lambda client: client.losses(),
    "check_plan": lambda client: client.check_plan(PLAN),
    "wait_until_ready": lambda client: client.wait_until_ready(5),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def authority(folder: pathlib.Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def certified(authority: Authority) -> Certified:
    """The server."""
    return authority.certify("server")


@pytest.fixture(scope="module")
def stranger(folder: pathlib.Path) -> Authority:
    """Whom nobody trusts."""
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def tokens(folder: pathlib.Path) -> pathlib.Path:
    return write(folder / "tokens", f"# who may\nalice:{TOKEN}\n")


@pytest.fixture(scope="module")
def tls_server(certified: Certified) -> Iterator[LocalServer]:
    with serve(*tls_flags(certified)) as server:
        yield server


@pytest.fixture(scope="module")
def mutual_server(certified: Certified, authority: Authority) -> Iterator[LocalServer]:
    """One that asks for a certificate."""
    with serve(*tls_flags(certified), f"--tls_client_ca={authority.certificate}") as server:
        yield server


@pytest.fixture(scope="module")
def token_server(tokens: pathlib.Path) -> Iterator[LocalServer]:
    with serve(f"--token_file={tokens}") as server:
        yield server


def serve(*flags: str) -> LocalServer:
    return LocalServer(server_binary(), "--log_level=debug", *flags)


def tls_flags(of: Certified) -> tuple[str, str]:
    return f"--tls_cert={of.certificate}", f"--tls_key={of.key}"


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    """Puts it there in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    return draft.rename(path)


def await_log(server: LocalServer, text: str, times: int = 1) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while server.log.read_text().count(text) < times:
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.05)


def start(*flags: str) -> subprocess.CompletedProcess[str]:
    """A server that is to end at once."""
    command = [str(server_binary()), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=SOON_SECONDS)


# TLS


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("method", METHODS)
def test_tls_and_a_token_serve_every_method_by_every_transport(
    secured: LocalServer,
    authority: Authority,
    method: str,
    transport: Transport,
) -> None:
    tls = lossd.Tls(root_certificates=authority.certificate)
    with lossd.Client(secured.address, transport=transport, tls=tls, token=TOKEN) as client:
        METHODS[method](client)


@pytest.fixture(scope="module")
def secured(certified: Certified, tokens: pathlib.Path) -> Iterator[LocalServer]:
    with serve(*tls_flags(certified), f"--token_file={tokens}") as server:
        yield server


def test_pem_may_be_given_in_place_of_its_path(
    tls_server: LocalServer, authority: Authority
) -> None:
    tls = lossd.Tls(root_certificates=authority.certificate.read_bytes())
    with lossd.Client(tls_server.address, tls=tls) as client:
        client.info()


def refused(address: str, tls: lossd.Tls | bool, says: str = ".") -> None:
    with (
        lossd.Client(address, tls=tls, retry_seconds=0) as client,
        pytest.raises(lossd.UnavailableError, match=says),
    ):
        client.compute(PLAN, BATCH, BATCH)


def test_a_server_of_another_authority_is_not_trusted(
    tls_server: LocalServer, stranger: Authority
) -> None:
    refused(tls_server.address, lossd.Tls(stranger.certificate), "CERTIFICATE_VERIFY_FAILED")
    refused(tls_server.address, tls=True)


def test_a_server_of_another_name_is_not_trusted(
    tls_server: LocalServer, authority: Authority
) -> None:
    roots = authority.certificate
    with lossd.Client(tls_server.address, tls=lossd.Tls(roots, server_name="localhost")) as client:
        client.info()
    refused(
        tls_server.address, lossd.Tls(roots, server_name="other.example"), "Hostname Verification"
    )


def test_a_server_whose_certificate_has_expired_is_not_trusted(authority: Authority) -> None:
    expired = authority.certify("expired", days=-1)
    pair = (expired.key.read_bytes(), expired.certificate.read_bytes())
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    refused(f"127.0.0.1:{port}", lossd.Tls(authority.certificate), "expired")
    server.stop(None).wait()


def test_tls_is_not_mixed_with_plaintext(tls_server: LocalServer, server: LocalServer) -> None:
    refused(tls_server.address, tls=False)
    refused(server.address, tls=True)


def test_a_client_without_a_certificate_of_the_authority_is_not_let_in(
    mutual_server: LocalServer, authority: Authority, stranger: Authority
) -> None:
    foreign = stranger.certify("impostor")
    refused(mutual_server.address, lossd.Tls(authority.certificate))
    refused(
        mutual_server.address, lossd.Tls(authority.certificate, foreign.certificate, foreign.key)
    )


def test_a_certificate_names_its_client(mutual_server: LocalServer, authority: Authority) -> None:
    mine = authority.certify("trainer.example")
    tls = lossd.Tls(authority.certificate, mine.certificate, mine.key)
    with lossd.Client(mutual_server.address, tls=tls, client="somebody-else") as client:
        client.compute(PLAN, BATCH, BATCH, request_id="by-certificate")
    (line,) = lines_of(mutual_server, "by-certificate", "done")
    assert 'client="trainer.example"' in line


def test_several_servers_are_checked_for_one_name(
    secured: LocalServer, certified: Certified, authority: Authority, tokens: pathlib.Path
) -> None:
    with serve(*tls_flags(certified), f"--token_file={tokens}") as second:
        both = [secured.address, second.address]
        tls = lossd.Tls(authority.certificate, server_name="localhost")
        with lossd.Client(both, tls=tls, token=TOKEN) as client:
            deadline = time.monotonic() + SOON_SECONDS
            while not all("[several]" in one.log.read_text() for one in (secured, second)):
                assert time.monotonic() < deadline
                client.compute(PLAN, BATCH, BATCH, request_id="several")
        with (
            lossd.Client(both, tls=lossd.Tls(authority.certificate)) as client,
            pytest.raises(lossd.InvalidArgumentError, match=r"tls\.server_name"),
        ):
            client.info()


def test_what_is_no_tls_is_refused(server: LocalServer, authority: Authority) -> None:
    with pytest.raises(lossd.InvalidArgumentError, match=r"tls\.key"):
        lossd.Tls(certificate=authority.certificate)
    with pytest.raises(lossd.InvalidArgumentError, match="tls: "):
        lossd.Client(tls="on")  # type: ignore[arg-type]
    with (
        lossd.Client(server.address, tls=lossd.Tls("/nowhere.pem")) as client,
        pytest.raises(lossd.InvalidArgumentError, match="nowhere") as caught,
    ):
        client.info()
    assert caught.value.field == "tls.root_certificates"


# Tokens


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("token", [None, OTHER_TOKEN])
def test_no_method_answers_without_a_token(
    token_server: LocalServer, token: str | None, method: str, transport: Transport
) -> None:
    with (
        lossd.Client(token_server.address, transport=transport, token=token) as client,
        pytest.raises(lossd.UnauthenticatedError, match="authorization") as caught,
    ):
        METHODS[method](client)
    assert caught.value.reason == ("TOKEN_MISSING" if token is None else "TOKEN_UNKNOWN")
    assert 'code="UNAUTHENTICATED"' in token_server.log.read_text().splitlines()[-1]


def test_a_large_call_without_a_token_is_refused(token_server: LocalServer) -> None:
    large = np.zeros((1, 1, 128, 128, 128), np.float32)
    for transport in TRANSPORTS:
        with (
            lossd.Client(token_server.address, transport=transport) as client,
            pytest.raises(lossd.UnauthenticatedError),
        ):
            client.compute(PLAN, large, large)


def ask(server: LocalServer, method: str, question: bytes, **more: object) -> bytes:
    """The first message of the answer of a method of gRPC's own."""
    with grpc.insecure_channel(server.address) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
        return next(call(iter([question]), timeout=5, **more))  # type: ignore[arg-type]


def refusal(server: LocalServer, method: str, question: bytes, **more: object) -> grpc.StatusCode:
    """How it is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(server, method, question, **more)
    assert isinstance(caught.value, grpc.Call)
    return caught.value.code()


REFLECTION = ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"\x3a\x00")
CHANNELZ = ("/grpc.channelz.v1.Channelz/GetServers", b"")
LET_IN = (("authorization", f"Bearer {TOKEN}"),)


def test_health_needs_no_token_and_reflection_does(token_server: LocalServer) -> None:
    assert ask(token_server, "/grpc.health.v1.Health/Check", b"") == b"\x08\x01"  # SERVING
    assert refusal(token_server, *REFLECTION) == grpc.StatusCode.CANCELLED
    assert b"lossd.v1.LossService" in ask(token_server, *REFLECTION, metadata=LET_IN)
    unimplemented = refusal(token_server, *CHANNELZ, metadata=LET_IN)
    assert unimplemented == grpc.StatusCode.UNIMPLEMENTED


def test_channelz_needs_a_token_and_reflection_may_be_off(tokens: pathlib.Path) -> None:
    flags = (f"--token_file={tokens}", "--channelz=true", "--reflection=false")
    with serve(*flags) as server:
        assert refusal(server, *CHANNELZ) == grpc.StatusCode.CANCELLED
        assert b"listener ipv4:127.0.0.1" in ask(server, *CHANNELZ, metadata=LET_IN)
        assert refusal(server, *REFLECTION, metadata=LET_IN) == grpc.StatusCode.CANCELLED


def test_a_token_names_its_client(token_server: LocalServer) -> None:
    with lossd.Client(token_server.address, token=TOKEN, client="bob") as client:
        client.compute(PLAN, BATCH, BATCH, request_id="by-token")
    (line,) = lines_of(token_server, "by-token", "done")
    assert 'client="alice"' in line


def test_a_token_may_be_in_a_file_or_be_asked_for(
    token_server: LocalServer, tmp_path: pathlib.Path
) -> None:
    path = write(tmp_path / "mine", f"{OTHER_TOKEN}\n")
    with lossd.Client(token_server.address, token=path) as client:
        with pytest.raises(lossd.UnauthenticatedError):
            client.info()
        write(path, f"{TOKEN}\n")
        client.info()
    given = iter([TOKEN, OTHER_TOKEN])
    with lossd.Client(token_server.address, token=lambda: next(given)) as client:
        client.info()
        with pytest.raises(lossd.UnauthenticatedError):
            client.info()


def test_the_environment_may_say_all_of_it(
    secured: LocalServer,
    authority: Authority,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOSSD_ADDRESS", secured.address)
    monkeypatch.setenv("LOSSD_TLS_CA", str(authority.certificate))
    monkeypatch.setenv("LOSSD_TOKEN", TOKEN)
    with lossd.Client() as client:
        client.info()
    monkeypatch.setenv("LOSSD_TOKEN_FILE", str(write(tmp_path / "mine", OTHER_TOKEN)))
    with lossd.Client() as client, pytest.raises(lossd.UnauthenticatedError):
        client.info()
    with lossd.Client(token=TOKEN) as client:
        client.info()
    monkeypatch.setenv("LOSSD_TLS", "0")
    with (
        lossd.Client(token=TOKEN, retry_seconds=0) as client,
        pytest.raises(lossd.UnavailableError),
    ):
        client.info()


def test_copies_of_a_client_are_let_in(secured: LocalServer, authority: Authority) -> None:
    tls = lossd.Tls(authority.certificate)
    with lossd.Client(secured.address, tls=tls, token=TOKEN, client="me") as client:
        for twin in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
            with twin:
                twin.info()


@pytest.mark.parametrize("token", ["", "two words", "line\n", "tökèn"])
def test_what_is_no_token_is_refused_without_showing_it(
    token_server: LocalServer, tmp_path: pathlib.Path, token: str
) -> None:
    with pytest.raises(lossd.InvalidArgumentError, match="token: ") as caught:
        lossd.Client(token=token)
    assert not token or token not in str(caught.value)
    path = write(tmp_path / "mine", f" {token.strip()} ")
    if token != "line\n":  # Which is one in a file.
        with (
            lossd.Client(token_server.address, token=path) as client,
            pytest.raises(lossd.InvalidArgumentError, match="token: "),
        ):
            client.info()


def test_a_token_file_that_is_away_is_named(
    token_server: LocalServer, tmp_path: pathlib.Path
) -> None:
    with (
        lossd.Client(token_server.address, token=tmp_path / "away") as client,
        pytest.raises(lossd.InvalidArgumentError, match="away") as caught,
    ):
        client.info()
    assert caught.value.field == "token"


def test_tokens_are_exchanged_while_the_server_runs(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "tokens", f"alice:{TOKEN}")
    with (
        serve(f"--token_file={path}") as server,
        lossd.Client(server.address, token=TOKEN) as old,
        lossd.Client(server.address, token=OTHER_TOKEN) as new,
    ):
        old.info()
        write(path, f"alice:{TOKEN}\nalice:{OTHER_TOKEN}")
        await_log(server, "tokens taken", 2)
        old.info()
        new.info()
        write(path, f"alice:{OTHER_TOKEN}")
        await_log(server, "tokens taken", 3)
        new.info()
        with pytest.raises(lossd.UnauthenticatedError):
            old.info()
        write(path, "# nobody\n")
        await_log(server, "the old tokens stay")
        new.info()
        path.unlink()
        await_log(server, "the old tokens stay", 2)
        new.info()


# Certificates exchanged


def present(folder: pathlib.Path, name: str, certified: Certified, key: pathlib.Path) -> None:
    """Has the link `current` lead to a folder with that certificate and key, in one step."""
    version = folder / name
    version.mkdir()
    (version / "tls.crt").write_bytes(certified.certificate.read_bytes())
    (version / "tls.key").write_bytes(key.read_bytes())
    draft = folder / "draft"
    draft.symlink_to(name)
    os.rename(draft, folder / "current")


def test_metrics_say_when_the_certificate_expires(authority: Authority) -> None:
    certified = authority.certify("of-three-days", days=3)
    with serve(*tls_flags(certified), "--http_listen=127.0.0.1:0") as server:
        expiry = value(metrics(server), "lossd_certificate_expiry_timestamp_seconds")
    assert expiry == pytest.approx(time.time() + 3 * 86400, abs=60)


def test_certificates_are_exchanged_while_calls_run(
    tmp_path: pathlib.Path, authority: Authority, stranger: Authority
) -> None:
    first, second = authority.certify("first"), stranger.certify("second")
    present(tmp_path, "1", first, first.key)
    current = Certified(tmp_path / "current" / "tls.crt", tmp_path / "current" / "tls.key")
    over, failures, answered = threading.Event(), list[Exception](), [0]

    def call(client: lossd.Client) -> None:
        while not over.is_set():
            try:
                client.compute(PLAN, BATCH, BATCH)
                answered[0] += 1
            except lossd.Error as error:
                failures.append(error)

    with (
        serve(*tls_flags(current)) as server,
        lossd.Client(server.address, tls=lossd.Tls(authority.certificate), retry_seconds=0) as old,
    ):
        old.wait_until_ready(10)
        thread = threading.Thread(target=call, args=(old,))
        thread.start()
        try:
            present(tmp_path, "2", first, second.key)
            await_log(server, "the old certificate stays")
            with lossd.Client(server.address, tls=lossd.Tls(authority.certificate)) as client:
                client.info()

            present(tmp_path, "3", second, second.key)
            await_log(server, "certificate taken", 2)
            with lossd.Client(server.address, tls=lossd.Tls(stranger.certificate)) as client:
                client.info()
            refused(server.address, lossd.Tls(authority.certificate), "CERTIFICATE_VERIFY_FAILED")
            so_far = answered[0]
            (tmp_path / "current").unlink()
            await_log(server, "the old certificate stays", 2)
            with lossd.Client(server.address, tls=lossd.Tls(stranger.certificate)) as client:
                client.info()
        finally:
            over.set()
            thread.join()
    assert not failures
    assert answered[0] > so_far


# Names and traces


def lines_of(server: LocalServer, request: str, event: str) -> list[str]:
    await_log(server, f"[{request}] {event}")
    return [line for line in server.log.read_text().splitlines() if f"[{request}] {event}" in line]


def test_a_client_has_a_name_in_the_log(server: LocalServer) -> None:
    with lossd.Client(server.address, client="trainer-7") as client:
        client.compute(PLAN, BATCH, BATCH, request_id="named")
    with lossd.Client(server.address) as client:
        client.compute(PLAN, BATCH, BATCH, request_id="unnamed")
    (named,), (unnamed,) = lines_of(server, "named", "done"), lines_of(server, "unnamed", "done")
    assert 'client="trainer-7"' in named
    assert f'-{os.getpid()}"' in unnamed
    for name in ("", "two words", "x" * 129):
        with pytest.raises(lossd.InvalidArgumentError, match="client: "):
            lossd.Client(client=name)


def test_calls_say_which_trace_they_belong_to(client: lossd.Client, server: LocalServer) -> None:
    for transport in TRANSPORTS:
        with lossd.Client(server.address, transport=transport) as one:
            one.compute(
                PLAN, BATCH, BATCH, request_id=f"{transport}-trace", traceparent=TRACEPARENT
            )
        (line,) = lines_of(server, f"{transport}-trace", "done")
        assert f'traceparent="{TRACEPARENT}"' in line

    assert "opentelemetry" not in sys.modules
    client.compute(PLAN, BATCH, BATCH, request_id="untraced")
    assert "traceparent" not in lines_of(server, "untraced", "done")[0]
    with pytest.raises(lossd.InvalidArgumentError, match="traceparent"):
        client.compute(PLAN, BATCH, BATCH, traceparent=TRACEPARENT[:-1])


def test_the_current_span_of_opentelemetry_is_passed_on(
    client: lossd.Client, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = types.SimpleNamespace(
        is_valid=True,
        trace_id=0x0AF7651916CD43DD8448EB211C80319C,
        span_id=0xB7AD6B7169203331,
        trace_flags=1,
    )
    span = types.SimpleNamespace(get_span_context=lambda: context)
    module = types.SimpleNamespace(get_current_span=lambda: span)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", module)
    client.compute(PLAN, BATCH, BATCH, request_id="in-a-span")
    assert f'traceparent="{TRACEPARENT}"' in lines_of(server, "in-a-span", "done")[0]
    context.is_valid = False
    client.compute(PLAN, BATCH, BATCH, request_id="in-no-span")
    assert "traceparent" not in lines_of(server, "in-no-span", "done")[0]


def test_no_secret_is_in_the_log(secured: LocalServer, authority: Authority) -> None:
    tls = lossd.Tls(authority.certificate)
    with lossd.Client(secured.address, tls=tls, token=TOKEN) as client:
        client.compute(PLAN, BATCH, BATCH, request_id="secret")
    with (
        lossd.Client(secured.address, tls=tls, token=OTHER_TOKEN) as client,
        pytest.raises(lossd.UnauthenticatedError) as caught,
    ):
        client.compute(PLAN, BATCH, BATCH, request_id="secret")
    assert "horse" not in str(caught.value)
    await_log(secured, "[secret] done")
    # By the server's own id: who is not let in is not read.
    await_log(secured, 'failed method="Compute" code="UNAUTHENTICATED"')
    log = secured.log.read_text()
    assert "horse" not in log
    assert "Bearer " not in log.replace("Bearer TOKEN", "")
    assert "PRIVATE" not in log


# Configuration


def test_a_server_does_not_start_with_what_is_no_good(
    tmp_path: pathlib.Path, certified: Certified, authority: Authority
) -> None:
    other = authority.certify("other")
    expired = authority.certify("late", days=-1)
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "ec", "-in", certified.key, "-aes128", "-passout", "pass:x", "-out", encrypted],
        check=True,
        capture_output=True,
    )
    nothing = write(tmp_path / "nothing", "nothing\n")
    broken = write(
        tmp_path / "broken",
        certified.certificate.read_text() + "-----BEGIN CERTIFICATE-----\nAAAA\n",
    )
    weak = Certified(tmp_path / "weak.pem", tmp_path / "weak.key")
    subprocess.run(
        f"openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=weak -keyout {weak.key} "
        f"-out {weak.certificate}".split(),
        check=True,
        capture_output=True,
    )
    for flags, says in (
        (tls_flags(Certified(certified.certificate, other.key)), "tls_key"),
        (tls_flags(Certified(certified.certificate, encrypted)), "tls_key"),
        (tls_flags(Certified(certified.certificate, tmp_path / "away")), "tls_key"),
        (tls_flags(Certified(nothing, certified.key)), "tls_cert"),
        (tls_flags(Certified(broken, certified.key)), "tls_cert"),
        (tls_flags(weak), "tls_cert"),
        (tls_flags(expired), "tls_cert"),
        ((*tls_flags(certified), f"--tls_client_ca={nothing}"), "tls_client_ca"),
        ((f"--token_file={nothing}",), "token_file"),
        ((f"--token_file={tmp_path}",), "token_file"),
    ):
        for mode in ([], ["--check-config"]):
            ended = start(*mode, *flags)
            assert ended.returncode == 1, ended
            assert says in ended.stderr, ended


def test_plaintext_that_others_reach_is_refused() -> None:
    ended = start("--listen=0.0.0.0:0")
    assert ended.returncode != 0
    assert "allow_plaintext" in ended.stderr
    assert "tls_cert" in ended.stderr
    with LocalServer(server_binary(), "--allow_plaintext", listen="0.0.0.0:0") as server:
        assert server.running()


def test_check_config_reads_everything(
    tmp_path: pathlib.Path, certified: Certified, tokens: pathlib.Path
) -> None:
    config = write(
        tmp_path / "lossd.yaml",
        f"tls_cert: {certified.certificate}\ntls_key: {certified.key}\ntoken_file: {tokens}\n",
    )
    ended = start("--check-config", f"--config={config}")
    assert (ended.returncode, ended.stdout) == (0, "ok\n"), ended
    write(config, "threads: 1\nthreads: 2\n")
    ended = start("--check-config", f"--config={config}")
    assert ended.returncode != 0
    assert "threads" in ended.stderr


def test_lossctl_is_let_in(
    authority: Authority, certified: Certified, tokens: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def lossctl(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
        binary = server_binary().parents[1] / "client" / "cpp" / "lossctl"
        return subprocess.run(
            [binary, *flags], capture_output=True, text=True, env={**os.environ, **environment}
        )

    mine = authority.certify("operator")
    mutual = f"--tls_client_ca={authority.certificate}"
    with serve(*tls_flags(certified), mutual, f"--token_file={tokens}") as server:
        flags = (
            f"--server={server.address}",
            f"--tls-ca={authority.certificate}",
            f"--tls-cert={mine.certificate}",
            f"--tls-key={mine.key}",
        )
        token = f"--token-file={write(tmp_path / 'mine', TOKEN)}"
        for command in (
            ("info",),
            ("losses",),
            ("check-plan", str(write(tmp_path / "plan.json", json.dumps(PLAN)))),
            ("bench", "--requests=1", "--size=8"),
        ):
            ended = lossctl(*command, *flags, token)
            assert ended.returncode == 0, ended
        assert lossctl("info", *flags, LOSSD_TOKEN=TOKEN).returncode == 0
        ended = lossctl("info", *flags)
        assert ended.returncode == 1
        assert "--token-file" in ended.stderr
        ended = lossctl("info", flags[0], token)
        assert ended.returncode == 1


def test_a_call_says_who_makes_it_in_no_more_than_it_must(
    token_server: LocalServer,
) -> None:
    """Another language's client needs the contract and one header."""
    with grpc.insecure_channel(token_server.address) as channel:
        stub = service_pb2_grpc.LossServiceStub(channel)
        metadata = (("authorization", f"bearer {TOKEN}"),)
        assert stub.GetServerInfo(service_pb2.GetServerInfoRequest(), metadata=metadata).version

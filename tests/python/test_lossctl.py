"""The command-line client, as a user runs it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from local_server import LocalServer, lossctl_binary, server_binary

import lossd

BINARY = lossctl_binary()
SHAPE = (1, 3, 6, 7, 8)
PLAN: list[dict[str, Any]] = [
    {"function": "MalisLoss"},
    {"function": "PerChannelBCEWithLogitsLoss", "weight": 0.5},
]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lossctl(server: LocalServer, tmp_path: pathlib.Path) -> Run:
    """Runs lossctl, of the server's own build, in a folder of its own."""

    def run(
        *arguments: str, address: str = server.address, fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        command = [str(BINARY), "--server", address, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert bool(done.stderr) == fails
        return done

    return run


@pytest.fixture
def batch(tmp_path: pathlib.Path) -> dict[str, npt.NDArray[Any]]:
    """A batch, also as .npy files, and a plan in plan.json."""
    random = np.random.default_rng(0)
    arrays: dict[str, npt.NDArray[Any]] = {
        "output": random.normal(size=SHAPE).astype(np.float32),
        "labels": (random.random(SHAPE) > 0.4).astype(np.uint8),
        "gt_seg": random.integers(0, 4, (1, *SHAPE[2:])).astype(np.uint16),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    return arrays


def test_starts_at_once(lossctl: Run, tmp_path: pathlib.Path) -> None:
    """LibTorch, which takes a quarter of a second, is loaded by what needs it alone."""
    assert "libtorch" not in subprocess.run(["ldd", BINARY], capture_output=True, text=True).stdout
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))

    def seconds(*arguments: str) -> float:
        start = time.perf_counter()
        lossctl(*arguments)
        return time.perf_counter() - start

    commands = (["--version"], ["compute", "--help"], ["info"], ["health"], ["losses"])
    for command in (*commands, ["check-plan", "plan.json"], ["completion", "bash"]):
        assert min(seconds(*command) for _ in range(3)) < 0.3, command


def test_the_commands_for_servers_say_how_to_reach_one(lossctl: Run) -> None:
    for command in ("info", "health", "losses", "check-plan", "compute", "bench"):
        shown = lossctl(command, "--help").stdout
        assert {"--server", "--timeout", "--json", "--tls-ca"} <= set(shown.split())
    assert "--server" not in lossctl("malis", "--help").stdout


def test_address_of_the_environment(
    server: LocalServer, lossctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSD_ADDRESS", server.address)
    done = subprocess.run([BINARY, "info"], capture_output=True, text=True, check=True)
    assert server.address in done.stdout
    monkeypatch.setenv("LOSSD_ADDRESS", "127.0.0.1:1")
    assert server.address in lossctl("info", "--server", server.address).stdout


def test_timeout(lossctl: Run, tmp_path: pathlib.Path) -> None:
    """Of calls, and of what goes before them."""
    start = time.monotonic()
    lossctl("info", "--timeout=0.1", address="127.0.0.1:1", fails=True)
    assert time.monotonic() - start < 1
    (tmp_path / "plan.yaml").write_text(
        "[{function: SoftClDiceLoss, kwargs: {num_iters: 20, sigmoid: true}}]"
    )
    flags = ("--plan=plan.yaml", "--size=128", "--requests=1", "--warmup=0", "--timeout=0.5")
    done = lossctl("bench", *flags, fails=True)
    assert "deadline" in done.stderr.lower()


def test_info(lossctl: Run, server: LocalServer) -> None:
    shown = lossctl("info").stdout
    assert server.address in shown
    assert "threads" in shown


def test_info_for_programs(lossctl: Run, server: LocalServer, client: lossd.Client) -> None:
    shown = json.loads(lossctl("info", "--json").stdout)
    info = client.info()
    assert (shown["server"], shown["version"]) == (server.address, info.version)
    assert shown["max_request_bytes"] == info.max_request_bytes
    assert shown["uptime_seconds"] > 0
    assert shown["devices"][0]["in_service"] is True


def wait_until_logged(server: LocalServer, event: str) -> None:
    deadline = time.monotonic() + 30
    while event not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_health(lossctl: Run, server: LocalServer) -> None:
    assert lossctl("health").stdout == "SERVING\n"
    assert lossctl("health", "--service=lossd.v1.LossService").stdout == "SERVING\n"
    shown = json.loads(lossctl("health", "--json").stdout)
    assert shown == {"server": server.address, "service": "", "serving": True}
    refused = lossctl("health", "--service=lossd.v1.Nonesuch", fails=True)
    assert refused.stderr == f"lossctl: there is no lossd.v1.Nonesuch at {server.address}\n"
    start = time.monotonic()
    assert "no server answers" in lossctl("health", address="127.0.0.1:1", fails=True).stderr
    assert time.monotonic() - start < 5


def test_health_of_a_server_that_drains(lossctl: Run) -> None:
    batch = np.zeros((1, 1, 192, 192, 192), np.float32)
    plan = [{"function": "SoftClDiceLoss", "kwargs": {"sigmoid": True, "num_iters": 20}}]
    with (
        LocalServer(server_binary(), "--log_level=debug") as server,
        lossd.Client(server.address) as client,
    ):
        call = client.submit(plan, batch, batch)
        wait_until_logged(server, " begun ")
        os.kill(server.pid, signal.SIGTERM)
        wait_until_logged(server, " draining ")
        done = lossctl("health", "--json", address=server.address, fails=True)
        assert json.loads(done.stdout)["serving"] is False
        assert done.stderr == f"lossctl: the server at {server.address} is NOT_SERVING\n"
        call.cancel()


def test_losses(lossctl: Run, client: lossd.Client) -> None:
    lines = lossctl("losses").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [loss.name for loss in client.losses()]


def test_one_loss_with_its_options(lossctl: Run) -> None:
    shown = lossctl("losses", "malisloss").stdout
    assert "malis_crop_size" in shown
    assert "mean | sum | none, default sum" in shown


def test_every_option_of_every_loss_is_explained(lossctl: Run) -> None:
    losses = json.loads(lossctl("losses", "--json").stdout)["losses"]
    assert len(losses) >= 25
    for loss in losses:
        (alone,) = json.loads(lossctl("losses", loss["name"], "--json").stdout)["losses"]
        assert alone == loss
        shown = lossctl("losses", loss["name"]).stdout
        for option in loss["options"]:
            assert option["summary"].endswith("."), (loss["name"], option)
            assert f"    {option['name']} " in shown
            assert option["summary"] in shown


def test_what_cannot_be_written(server: LocalServer) -> None:
    with pathlib.Path("/dev/full").open("w") as full:
        command = [str(BINARY), "--server", server.address, "losses"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode != 0
    assert b"cannot be written" in done.stderr


def test_a_folder_for_a_file(lossctl: Run, tmp_path: pathlib.Path) -> None:
    assert "is a folder" in lossctl("check-plan", str(tmp_path), fails=True).stderr
    refused = lossctl("info", "--token-file", str(tmp_path), fails=True).stderr
    assert "token_file: got" in refused


def test_unknown_loss(lossctl: Run) -> None:
    assert "'MalisLos'" in lossctl("losses", "MalisLos", fails=True).stderr


@pytest.mark.usefixtures("batch")
def test_check_good_plan(lossctl: Run) -> None:
    lines = lossctl("check-plan", "plan.json").stdout.splitlines()
    assert len(lines) == len(PLAN)
    assert all(line.startswith(f"term_{i}: ") for i, line in enumerate(lines))


def test_check_bad_plan(lossctl: Run, tmp_path: pathlib.Path) -> None:
    text = "losses:\n- {function: MalisLos}\n- {function: MSELoss, weigth: 2}\n"
    (tmp_path / "plan.yaml").write_text(text)
    done = lossctl("check-plan", "plan.yaml", fails=True)
    function, weight = done.stdout.splitlines()
    assert function.startswith("losses[0].function: ")
    assert "MalisLoss" in function
    assert weight.startswith("losses[1].weigth: ")
    assert "weight?" in weight
    assert "2 mistakes" in done.stderr


def test_check_plan_for_programs(lossctl: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(PLAN))
    good = json.loads(lossctl("check-plan", "good.json", "--json").stdout)
    assert (good["problems"], len(good["explanations"])) == ([], len(PLAN))
    (tmp_path / "bad.yaml").write_text("losses:\n- {function: MSELoss, weigth: 2}\n")
    bad = json.loads(lossctl("check-plan", "bad.yaml", "--json", fails=True).stdout)
    assert [problem["field"] for problem in bad["problems"]] == ["losses[0].weigth"]
    assert bad["explanations"] == []


def test_training_config(lossctl: Run, batch: dict[str, Any], tmp_path: pathlib.Path) -> None:
    (tmp_path / "recipes").mkdir()
    losses = {"losses": [{"function": "L1Loss", "weight": 0.25}, *PLAN]}
    base = {"loss_profiles": {"all": losses}, "default": {"model": {"loss": {"clamp_min": -9}}}}
    (tmp_path / "recipes" / "base.yaml").write_text(json.dumps(base))
    selected = {"profile": "all", "overrides": {0: {"weight": 4}}}
    config = {"_base_": "recipes/base.yaml", "train": {"model": {"loss": selected}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    first, *others = lossctl("check-plan", "config.yaml").stdout.splitlines()
    assert first.startswith("term_0: 4 × L1Loss")
    assert len(others) == len(PLAN)
    files = [f"--{name}={name}.npy" for name in batch]
    shown = lossctl("compute", "--plan=config.yaml", *files).stdout
    assert ["train_loss_term_0_coef", "4"] in [line.split() for line in shown.splitlines()]
    assert "requests" in lossctl("bench", "--plan=config.yaml", "--size=8", "--requests=1").stdout


def test_config_without_losses(lossctl: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "decode.yaml").write_text("default: {decoding: {steps: []}}")
    done = lossctl("check-plan", "decode.yaml", fails=True)
    assert "decode.yaml: trains nothing" in done.stderr
    assert "mistake" not in done.stderr


def test_compute(
    lossctl: Run, client: lossd.Client, batch: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    files = [f"--{name}={name}.npy" for name in batch]
    shown = lossctl("compute", "--plan=plan.json", *files, "--out=gradients").stdout
    expected = client.compute(PLAN, batch["output"], batch["labels"], gt_seg=batch["gt_seg"])
    printed = dict(line.split()[:2] for line in shown.splitlines())
    for key, value in {**expected.logs, "total": expected.total}.items():
        assert float(printed[key]) == pytest.approx(value, rel=1e-8)
    gradient = np.load(tmp_path / "gradients" / "output.npy")
    np.testing.assert_array_equal(gradient, expected.gradients["output"])


@pytest.mark.usefixtures("batch")
def test_compute_for_programs(lossctl: Run, tmp_path: pathlib.Path) -> None:
    files = ["--output=output.npy", "--labels=labels.npy", "--gt_seg=gt_seg.npy"]
    compute = ("compute", "--plan=plan.json", *files, "--json")
    shown = json.loads(lossctl(*compute, "--out=gradients").stdout)
    assert shown["logs"]["train_loss_total"] == shown["total"]
    assert [term["function"] for term in shown["terms"]] == [term["function"] for term in PLAN]
    assert shown["total"] == pytest.approx(sum(term["weighted"] for term in shown["terms"]))
    assert np.load(tmp_path / shown["gradients"]["output"]).shape == SHAPE
    assert 0 < shown["seconds"]["compute"] < shown["seconds"]["round_trip"]
    assert shown["malis_crop_seed"] is None
    assert json.loads(lossctl(*compute).stdout)["gradients"] == {}


def test_compute_casts_where_that_is_asked_for(
    lossctl: Run, batch: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    np.save(tmp_path / "output.npy", batch["output"].astype(np.float64))
    files = ["--output=output.npy", "--labels=labels.npy", "--gt_seg=gt_seg.npy", "--out=gradients"]
    compute = ("compute", "--plan=plan.json", *files)
    refused = lossctl(*compute, fails=True).stderr
    assert "--output: got float64 in output.npy" in refused
    assert "--cast float32" in refused
    for dtype in (np.float32, np.float16):
        lossctl(*compute, f"--cast={np.dtype(dtype)}")
        assert np.load(tmp_path / "gradients" / "output.npy").dtype == dtype
    lossctl(*compute, "--cast=bfloat16")


@pytest.mark.usefixtures("batch")
def test_compute_says_what_is_wrong(lossctl: Run) -> None:
    compute = ("compute", "--plan=plan.json", "--output=output.npy")
    assert "labels: " in lossctl(*compute, fails=True).stderr
    assert "nowhere.npy" in lossctl(*compute, "--labels=nowhere.npy", fails=True).stderr


@pytest.mark.usefixtures("batch")
def test_compute_refuses_a_mask_of_255(lossctl: Run, tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "mask.npy", np.full((1, 1, *SHAPE[2:]), 255, np.uint8))
    files = ("--output=output.npy", "--labels=labels.npy", "--mask=mask.npy")
    assert "mask > 0" in lossctl("compute", "--plan=plan.json", *files, fails=True).stderr


@pytest.mark.usefixtures("batch")
def test_compute_knows_before_what_it_cannot_write(lossctl: Run, tmp_path: pathlib.Path) -> None:
    """Nobody answers at this address, so what is refused is refused without a server."""
    compute = ("compute", "--plan=plan.json", "--labels=labels.npy")

    def refusal(*arguments: str) -> str:
        return lossctl(*compute, *arguments, address="127.0.0.1:1", fails=True).stderr

    assert "'a/b'" in refusal("--output=a/b=output.npy", "--out=gradients")
    (tmp_path / "taken").write_text("")
    assert "taken" in refusal("--output=output.npy", "--out=taken")
    assert "no server" in refusal("--output=a/b=output.npy")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_malis_refuses_what_is_not_finite(
    lossctl: Run, batch: dict[str, Any], tmp_path: pathlib.Path, value: float
) -> None:
    affinities = batch["output"][0].copy()
    affinities[0, 1, 2, 3] = value
    np.save(tmp_path / "affinities.npy", affinities)
    np.save(tmp_path / "seg.npy", batch["gt_seg"][0])
    files = ("--affinities=affinities.npy", "--gt_seg=seg.npy")
    assert "--affinities: " in lossctl("malis", *files, fails=True).stderr
    # Infinite logits are certain affinities.
    if np.isinf(value):
        assert "nan" not in lossctl("malis", "--logits", *files).stdout


@pytest.mark.parametrize(
    "mask", [np.uint8(255), np.uint16(2), np.int32(-1), np.float32(0.5), np.float32(255)]
)
def test_malis_refuses_masks_of_weights(
    lossctl: Run, batch: dict[str, Any], tmp_path: pathlib.Path, mask: np.generic
) -> None:
    np.save(tmp_path / "affinities.npy", batch["output"][0])
    np.save(tmp_path / "seg.npy", batch["gt_seg"][0])
    np.save(tmp_path / "mask.npy", np.full(SHAPE[1:], mask))
    files = ("--affinities=affinities.npy", "--gt_seg=seg.npy", "--mask=mask.npy")
    assert "--mask: " in lossctl("malis", "--logits", *files, fails=True).stderr


def test_malis(
    lossctl: Run, client: lossd.Client, batch: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """The engine by itself weighs the edges as the server does."""
    np.save(tmp_path / "affinities.npy", batch["output"][0])
    np.save(tmp_path / "seg.npy", batch["gt_seg"][0])
    np.save(tmp_path / "target.npy", batch["labels"][0])
    files = ["--affinities=affinities.npy", "--gt_seg=seg.npy", "--target=target.npy"]
    shown = lossctl("malis", "--logits", *files, "--out=weights.npy").stdout
    weights = np.load(tmp_path / "weights.npy")
    assert f"{np.count_nonzero(weights)} of {weights.size}" in shown
    affinities = 1 / (1 + np.exp(-batch["output"].astype(np.float64)))
    report = json.loads(lossctl("malis", "--logits", *files, "--json").stdout)
    assert report["weighted_edges"] == np.count_nonzero(weights)
    assert (report["edges"], report["weights"]) == (weights.size, None)
    squares = weights * (affinities[0] - batch["labels"][0]) ** 2
    plan = [{"function": "MalisLoss"}]
    expected = client.compute(plan, batch["output"], batch["labels"], gt_seg=batch["gt_seg"])
    assert squares.sum() == pytest.approx(expected.total, rel=1e-5)
    assert report["loss"] == pytest.approx(expected.total, rel=1e-5)


def test_malis_reads_targets_and_masks_as_the_loss_does(
    lossctl: Run, batch: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """Positive is what is above 0.5, known what is exactly 1."""
    target = batch["labels"][0]
    mask = np.random.default_rng(1).random(target.shape) > 0.2
    np.save(tmp_path / "affinities.npy", batch["output"][0])

    def weights(target: npt.NDArray[Any], mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
        np.save(tmp_path / "target.npy", target)
        np.save(tmp_path / "mask.npy", mask)
        files = ["--affinities=affinities.npy", "--target=target.npy", "--mask=mask.npy"]
        lossctl("malis", "--logits", *files, "--out=weights.npy")
        found: npt.NDArray[Any] = np.load(tmp_path / "weights.npy")
        return found

    soft_target = np.where(target > 0, np.float32(0.6), np.float32(0.4))
    soft_mask = np.where(mask, np.float32(1), np.float32(0.9))
    expected = weights(target, mask)
    assert np.count_nonzero(expected)
    np.testing.assert_array_equal(weights(soft_target, soft_mask), expected)


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize(
    ("transport", "method"),
    [("auto", "Compute"), ("unary", "Compute"), ("stream", "ComputeStream")],
)
def test_transport(lossctl: Run, server: LocalServer, transport: str, method: str) -> None:
    files = ["--output=output.npy", "--labels=labels.npy", "--gt_seg=gt_seg.npy"]
    shown = lossctl("compute", "--plan=plan.json", *files, f"--transport={transport}").stdout
    assert "train_loss_total" in shown
    assert f'done method="{method}"' in server.log.read_text().splitlines()[-1]


def test_bench(lossctl: Run) -> None:
    count = 5
    flags = ("--size=8", f"--requests={count}", "--concurrency=1:3:2", "--transport=stream")
    shown = lossctl("bench", *flags).stdout.splitlines()
    assert shown[0].startswith("predictions [2, 3, 8, 8, 8] float32")
    assert [line.split()[:2] for line in shown[2:4]] == [["1", "5"], ["3", "5"]]
    report = json.loads(lossctl("bench", *flags, "--json").stdout)
    assert (report["dtype"], report["transport"], report["rate"]) == ("float32", "stream", None)
    for level in report["levels"]:
        assert (level["requests"], level["stable"]) == (count, True)
        latency = level["latency_seconds"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"]
        assert latency["p99"] <= latency["max"]
        # All of it; where much is going on, the end of sending is seen late.
        assert 0.95 < sum(level["stage_seconds"].values()) / latency["mean"] < 1.5
        # Predictions one way and gradients the other; labels and ids are less in any encoding.
        gradients = 2 * 3 * 8**3 * 4
        assert gradients < level["bytes_received"] < 1.2 * gradients
        assert gradients < level["bytes_sent"] < 2 * gradients


def test_bench_until_stable(lossctl: Run) -> None:
    flags = ("--size=8", "--window=0.01", "--max_windows=1")
    assert "not stable after 1 window, 1 at a time" in lossctl("bench", *flags).stdout


def test_bench_at_a_rate(lossctl: Run) -> None:
    flags = ("--size=8", "--rate=50", "--duration=0.5", "--json")
    (level,) = json.loads(lossctl("bench", *flags).stdout)["levels"]
    assert level["requests_per_second"] == pytest.approx(50, rel=0.3)


def test_bench_counts_what_a_busy_server_refuses(lossctl: Run) -> None:
    flags = ("--size=24", "--requests=60", "--concurrency=8", "--refusals", "--transport=unary")
    with LocalServer(
        server_binary(), "--max_concurrent_requests=1", "--max_queued_requests=0"
    ) as server:
        done = lossctl("bench", *flags, "--json", address=server.address)
        (level,) = json.loads(done.stdout)["levels"]
        assert level["requests"] + level["refusals"] == 60
        assert level["refusals"] > 0
        assert 0 < level["refusal_seconds"]["p50"] <= level["refusal_seconds"]["max"]
        shown = lossctl("bench", *flags, address=server.address).stdout
        assert "concurrency  refusals" in shown


def complete_in_bash(line: str) -> list[str]:
    """What bash offers at the end of that line."""
    script = f"""
        source <({BINARY} completion bash)
        COMP_LINE={line!r} COMP_POINT={len(line)}
        COMP_WORDS=({line.replace("=", " = ")} {"''" if line.endswith((" ", "=")) else ""})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _lossctl lossctl && printf '%s\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("lossctl ch", {"check-plan"}),
        ("lossctl --tls-c", {"--tls-ca", "--tls-cert"}),
        ("lossctl bench --dtype fl", {"float32", "float16"}),
        ("lossctl bench --dtype=b", {"bfloat16"}),
        ("lossctl --server localhost:1 compute --la", {"--labels", "--label_mask"}),
        ("lossctl completion ", {"bash", "zsh", "fish"}),
        # Readline completes files where nothing is offered.
        ("lossctl compute --plan ", set()),
        ("lossctl check-plan ", set()),
    ],
)
def test_completion_in_bash(line: str, offered: set[str]) -> None:
    assert set(complete_in_bash(line)) == offered


def test_completion_knows_what_help_does(lossctl: Run) -> None:
    flag = re.compile(r"^  (?:-h,)?(--[a-z][a-z_-]*)", re.MULTILINE)
    in_zsh, in_fish = (lossctl("completion", shell).stdout for shell in ("zsh", "fish"))
    commands = complete_in_bash("lossctl ")
    assert {"info", "health", "losses", "check-plan", "compute", "bench", "malis"} < set(commands)
    for command in commands:
        flags = flag.findall(lossctl(command, "--help").stdout)
        assert set(complete_in_bash(f"lossctl {command} --")) == set(flags)
        for name in flags:
            assert f"'{name}" in in_zsh
            assert f"seen_subcommand_from {command}' -l {name[2:]} " in in_fish


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_completion(
    lossctl: Run, tmp_path: pathlib.Path, shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    script = tmp_path / "completion"
    script.write_text(lossctl("completion", shell).stdout)
    subprocess.run([shell, "-n", script], check=True)


def test_no_server(lossctl: Run) -> None:
    done = lossctl("info", address="127.0.0.1:1", fails=True)
    assert "127.0.0.1:1" in done.stderr
    assert "--server" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command is required"),
        (["compte"], "compte"),
        (["check-plan"], "FILE"),
        (["bench", "--size=0"], "--size"),
        (["bench", "--concurrency=3:1"], "--concurrency: got '3:1'"),
        (["bench", "--requests=1", "--duration=1"], "--requests"),
        (["bench", "--transport=pigeon"], "--transport"),
    ],
)
def test_wrong_usage(lossctl: Run, arguments: list[str], message: str) -> None:
    assert message in lossctl(*arguments, fails=True).stderr

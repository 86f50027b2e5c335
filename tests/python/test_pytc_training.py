"""Whole trainings through the drop-in, in the shape that PyTorch Connectomics has them."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import pathlib
import pickle
from types import SimpleNamespace
from typing import Any

import oracle
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pytc_module import Batch, Network, Orchestrator, Trainer, TrainingModule, make_batches
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

import lossd
import lossd.pytc

BCE = {"function": "PerChannelBCEWithLogitsLoss", "weight": 1.5}
MSE = {
    "function": "WeightedMSELoss",
    "weight": 2.0,
    "pos_weight": 1.0,
    "pred_slice": "0:2",
    "target_slice": "0:2",
}


def config(*losses: dict[str, Any], nan_detection: bool = True, **model: Any) -> SimpleNamespace:
    """A resolved training config."""
    loss = SimpleNamespace(
        losses=list(losses),
        deep_supervision_weights=None,
        deep_supervision_clamp_min=-20.0,
        deep_supervision_clamp_max=20.0,
        loss_balancing=SimpleNamespace(strategy=model.pop("balancing", None)),
    )
    heads = {"heads": {}, "primary_head": None} | model
    return SimpleNamespace(
        model=SimpleNamespace(loss=loss, **heads),
        data=SimpleNamespace(label_transform=SimpleNamespace(targets=[], stack_outputs=True)),
        monitor=SimpleNamespace(nan_detection=SimpleNamespace(enabled=nan_detection)),
        evaluation=SimpleNamespace(enabled=True),
    )


class LocalOrchestrator:
    """The losses of BCE and MSE in this process, as the oracle has them."""

    def __init__(self, *, cfg: Any, loss_weighter: nn.Module | None, **_: Any) -> None:
        served = lossd.pytc.RemoteLossOrchestrator(cfg)
        self.loss_term_specs = served.loss_term_specs
        self.weighter = loss_weighter

    def compute_standard_loss(
        self,
        outputs: Tensor,
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        del mask, target_mask, gt_seg
        error = (outputs[:, :2].float() - labels[:, :2]) ** 2
        terms = [1.5 * oracle.per_channel_bce(outputs.float(), labels), 2 * error.mean()]
        if self.weighter is None:
            return torch.stack(terms).sum(), {}
        combine = self.weighter.combine
        assert callable(combine)
        total, _, logs = combine(terms, ["term_0", "term_1"], stage)
        return total, logs

    def compute_deep_supervision_loss(
        self,
        outputs: Any,
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError


def module(
    client: lossd.Client | None, cfg: SimpleNamespace, network: nn.Module | None = None
) -> TrainingModule:
    """A module of a seeded network, with its losses from a server or from this process."""
    torch.manual_seed(0)
    network = network or Network()
    if client is None:
        return TrainingModule(cfg, network, LocalOrchestrator)
    build = functools.partial(lossd.pytc.RemoteLossOrchestrator, client=client)
    return TrainingModule(cfg, network, build)


def weights(trained: nn.Module) -> list[Tensor]:
    return [parameter.detach() for parameter in trained.parameters()]


def test_the_drop_in_offers_what_the_module_asks_for(client: lossd.Client) -> None:
    orchestrator: Orchestrator = lossd.pytc.RemoteLossOrchestrator(config(BCE), client=client)
    assert orchestrator.loss_term_specs[0].call_kind == "pred_target"
    names = list(inspect.signature(lossd.pytc.RemoteLossOrchestrator).parameters)
    assert names[:7] == [
        "cfg",
        "loss_functions",
        "loss_weights",
        "enable_nan_detection",
        "debug_on_nan",
        "loss_weighter",
        "loss_metadata",
    ]


@pytest.mark.parametrize("balancing", [None, "uncertainty", "gradnorm"])
def test_training_and_validation_agree_with_local(
    client: lossd.Client, balancing: str | None
) -> None:
    runs = []
    for where in (client, None):
        trainer = Trainer(module(where, config(BCE, MSE, balancing=balancing)))
        losses = trainer.fit(make_batches(4))
        validation = trainer.validate(make_batches(5)[-1])
        runs.append((losses, validation, trainer.module.hits, weights(trainer.module)))
    (served, served_val, served_hits, ours), (local, local_val, local_hits, theirs) = runs
    assert served == pytest.approx(local, rel=1e-4)
    assert served[-1] < served[0]
    assert served_val == pytest.approx(local_val, rel=1e-4)
    assert served_hits.tolist() == local_hits.tolist()
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "trainer",
    [
        {"accumulate": 2},
        {"ema_decay": 0.5},
        {"dtype": torch.bfloat16},
        {"dtype": torch.float16},
    ],
    ids=["accumulation", "ema", "bfloat16", "float16"],
)
def test_ways_of_training_agree_with_local(client: lossd.Client, trainer: dict[str, Any]) -> None:
    runs = []
    for where in (client, None):
        run = Trainer(module(where, config(BCE, MSE)), **trainer)
        losses = run.fit(make_batches(4))
        runs.append([*losses, run.validate(make_batches(5)[-1])])
    assert runs[0] == pytest.approx(runs[1], rel=1e-2 if "dtype" in trainer else 1e-4)


@pytest.mark.parametrize("balancing", ["uncertainty", "gradnorm"])
def test_a_training_resumes_from_its_checkpoint(client: lossd.Client, balancing: str) -> None:
    cfg = config(BCE, MSE, balancing=balancing)
    batches = make_batches(5)
    through = Trainer(module(client, cfg))
    first = through.fit(batches[:3])
    checkpoint = through.state()
    rest = through.fit(batches[3:])

    resumed = Trainer(module(client, cfg))
    resumed.resume(checkpoint)
    assert resumed.fit(batches[3:]) == pytest.approx(rest, rel=1e-6)
    assert first + rest == pytest.approx(Trainer(module(client, cfg)).fit(batches), rel=1e-6)


def test_deep_supervision_with_a_mask(client: lossd.Client) -> None:
    (batch,) = make_batches(1)
    mask = torch.zeros(2, 1, 4, 6, 6)
    mask[..., :3] = 0.7  # The module makes a mask of what is above 0.
    trained = module(client, config(MSE), Network("scales"))
    loss = trained.training_step({**batch, "mask": mask})
    outputs = trained.model(batch["image"])
    known = (mask > 0).float()
    expected = torch.zeros(())
    for scale, output in enumerate((outputs["output"], outputs["ds_1"])):
        size = output.shape[2:]
        target = torch.nn.functional.interpolate(batch["label"], size=size, mode="trilinear")
        weight = torch.nn.functional.interpolate(known, size=size)
        error = (output[:, :2] - target[:, :2]) ** 2
        expected = expected + 0.5**scale * 2 * oracle.masked_mean(error, weight)
    torch.testing.assert_close(loss, expected)
    assert "train_loss_scale_1" in trained.logged["train"]
    torch.testing.assert_close(
        torch.autograd.grad(loss, list(trained.model.parameters())),
        torch.autograd.grad(expected, list(trained.model.parameters())),
    )


def test_named_heads_are_trained_and_measured(client: lossd.Client) -> None:
    losses: list[dict[str, Any]] = [
        {**BCE, "pred_head": "aff", "target_slice": "0:2"},
        {"function": "MSELoss", "pred_head": "sdt", "target_slice": "2:3"},
    ]
    cfg = config(*losses, heads={"aff": {}, "sdt": {}}, primary_head="aff")
    trainer = Trainer(module(client, cfg, Network("heads")))
    (batch,) = make_batches(1)
    assert trainer.fit([batch] * 3)[-1] < trainer.validate(batch) * 2
    assert trainer.module.hits[1] == 2 * 2 * 4 * 6 * 6


def poisoned() -> Batch:
    (batch,) = make_batches(1)
    batch["image"][0, 0, 1, 1, 1] = torch.nan
    return batch


def test_what_is_not_finite_is_an_error_that_the_log_explains(
    client: lossd.Client, caplog: pytest.LogCaptureFixture
) -> None:
    trained = module(client, config(MSE))
    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="term_0") as caught:
        trained.training_step(poisoned())
    assert isinstance(caught.value, lossd.InvalidArgumentError)
    assert caught.value.reason == "NOT_FINITE"
    told = caplog.text
    assert "NaN/Inf detected" in told
    assert "NaN" in told
    assert "pred [2, 2, 4, 6, 6]" in told
    assert "Rank" not in told


def test_nan_detection_can_be_switched_off(client: lossd.Client) -> None:
    cfg = config(MSE, nan_detection=False)
    assert torch.isnan(module(client, cfg).training_step(poisoned()))
    # The constructor's flag counts more than the config, which counts when it is not given.
    build = functools.partial(lossd.pytc.RemoteLossOrchestrator, client=client)
    assert not build(cfg).enable_nan_detection
    assert build(cfg, enable_nan_detection=True).enable_nan_detection
    assert build(config(MSE)).enable_nan_detection
    # GradScaler leaves a step out that is not finite, and the training goes on.
    trainer = Trainer(module(client, cfg), dtype=torch.float16)
    before = copy.deepcopy(weights(trainer.module))
    trainer.fit([poisoned()])
    torch.testing.assert_close(weights(trainer.module), before, rtol=0, atol=0)
    assert trainer.fit(make_batches(1))[0] > 0


def test_a_module_is_built_and_tested_without_a_server() -> None:
    nowhere = lossd.Client("127.0.0.1:1", retry_seconds=0)
    built = module(nowhere, config(BCE, MSE, balancing="uncertainty"))
    assert [spec.target_slice for spec in _specs(built)] == [None, "0:2"]
    twin = pickle.loads(pickle.dumps(lossd.pytc.RemoteLossOrchestrator(config(BCE))))
    assert twin.loss_term_specs[0].coefficient == 1.5
    (batch,) = make_batches(1)
    outputs = built.model(batch["image"])
    built._measure(outputs, batch["label"])
    assert TrainingModule(config(BCE), Network(), skip_loss=True).loss_orchestrator is None
    with pytest.raises(lossd.UnavailableError):
        built.training_step(batch)


def _specs(built: TrainingModule) -> Any:
    assert built.loss_orchestrator is not None
    return built.loss_orchestrator.loss_term_specs


RANKS = 2


def train_on_a_rank(rank: int, address: str, folder: pathlib.Path) -> None:
    """Two steps of a rank's half of each batch; leaves the weights, or what went wrong."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS
    )
    try:
        logger = logging.getLogger("lossd.pytc.orchestrator")
        logger.addHandler(logging.FileHandler(folder / f"log{rank}"))
        trained = module(lossd.Client(address), config(MSE))
        trained.model = DistributedDataParallel(trained.model)
        trainer = Trainer(trained)
        halves = [
            {name: tensor[rank : rank + 1] for name, tensor in batch.items()}
            for batch in make_batches(2)
        ]
        trainer.fit(halves)
        torch.save(weights(trainer.module), folder / f"weights{rank}")
        with pytest.raises(ValueError, match="term_0"):
            trainer.module.training_step({**halves[0], "image": halves[0]["image"] * torch.nan})
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("start_method", ["spawn", "fork"])
def test_two_ranks_train_together(
    client: lossd.Client, tmp_path: pathlib.Path, start_method: str
) -> None:
    client.info()  # So that what is forked has used gRPC.
    mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
        train_on_a_rank, (client.address, tmp_path), nprocs=RANKS, start_method=start_method
    )
    trainer = Trainer(module(client, config(MSE)))
    trainer.fit(make_batches(2))  # The mean of two halves is the mean of all.
    for rank in range(RANKS):
        torch.testing.assert_close(torch.load(tmp_path / f"weights{rank}"), weights(trainer.module))
        assert f"Rank: {rank} of {RANKS}" in (tmp_path / f"log{rank}").read_text()
    assert client.info().version


class Images(Dataset[dict[str, Tensor]]):
    """Four samples, each loaded by a process that may use the client as well."""

    def __init__(self, client: lossd.Client | None) -> None:
        self.client = client
        (self.batch,) = make_batches(1, (4, 1, 4, 6, 6))

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self.client is not None:
            assert self.client.info().version
        return {name: tensor[index] for name, tensor in self.batch.items()}


@pytest.mark.parametrize("in_workers", [False, True], ids=["beside", "in the workers too"])
def test_workers_that_load_data_are_forked_after_the_first_use(
    client: lossd.Client, in_workers: bool
) -> None:
    client.info()
    trainer = Trainer(module(client, config(MSE)))
    loader = DataLoader(
        Images(client if in_workers else None),
        batch_size=2,
        num_workers=2,
        multiprocessing_context="fork",
    )
    losses = [loss for _ in range(2) for loss in trainer.fit(loader)]
    assert len(losses) == 4
    assert losses[-1] < losses[0]

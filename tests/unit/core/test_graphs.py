"""Captured loops give what eager ones give: the protocol on any device, CUDA graphs on a GPU.

On the CPU `Graphs` runs the captured functions again on the tensors it keeps in place, so that
inputs, outputs, losses that change under a graph, and counts are seen without a GPU.
"""

from typing import Any

import pytest
import torch

from pipeline.core import METHODS, MetaTrainer, ModuleModel, TaskBatch, Work, meta_gradient
from pipeline.core.graphs import Capturing, Graphs
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from tests.unit.core.problems import FLOWS, METHOD_SETTINGS, make_batch, make_mlp, make_module

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
CHANGES: dict[str, list[dict[str, Any]]] = {
    "fomaml": [{"inner_steps": 70}],
    "maml_sweep": [{"inner_steps": 120}],
    "imaml": [{"inner_steps": 51}],
    "amaml": [{"step": 0.005}, {"omega": 0.5}, {"regulariser": 0.3}, {"backward": "discrete"}],
    "amaml_rkc": [{"regulariser": 0.3}, {"memory_mb": 0.3}, {"early_stopping": True}],
    "amaml_anytime": [{"early_stopping": True, "memory_mb": 0.3}],
}
CASES = [
    (method, METHOD_SETTINGS[method] | change)
    for method in METHODS
    for change in ({}, *CHANGES.get(method, []))
]


def on(device: str, batch: TaskBatch) -> TaskBatch:
    s, q = batch.support, batch.query
    return TaskBatch.from_arrays(s.x, s.y, q.x, q.y, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("method", "settings"), CASES)
def test_captured_equals_eager(method, settings, device):
    """Three batches, so that graphs meet numbers they were not captured with."""
    model, theta = make_mlp()
    theta = theta.to(device)
    graphs = Graphs(theta.device)
    memories = [ChebyshevMemory(), ChebyshevMemory()]
    for seed in range(3):
        batch = on(device, make_batch(seed=seed))
        start = theta * (1 + 0.1 * seed)
        eager = meta_gradient(method, model, start, batch, memory=memories[0], **settings)
        captured = meta_gradient(
            method, model, start, batch, memory=memories[1], graphs=graphs, **settings
        )
        torch.testing.assert_close(captured.gradient, eager.gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(captured.adapted, eager.adapted, rtol=1e-9, atol=1e-12)
        for name in ("hvps", "radius_hvps", "accepted", "rejected"):
            assert getattr(captured.work, name) == getattr(eager.work, name), name
        if "memory_mb" not in settings:
            assert captured.work.gradients >= eager.work.gradients


def test_counts_of_replays_are_those_of_the_capture():
    model, theta = make_mlp()
    graphs = Graphs(theta.device)
    settings = METHOD_SETTINGS["fomaml"] | {"inner_steps": 130}
    for seed in range(3):
        batch = make_batch(seed=seed)
        work = meta_gradient("fomaml", model, theta, batch, graphs=graphs, **settings).work
        assert work == Work(gradients=131)


def test_batches_are_not_written_to():
    model, theta = make_mlp()
    graphs, settings = Graphs(theta.device), METHOD_SETTINGS["fomaml"]
    batches = [make_batch(seed=seed) for seed in range(2)]
    for batch in batches:
        meta_gradient("fomaml", model, theta, batch, graphs=graphs, **settings)
    for seed, batch in enumerate(batches):
        for side in ("support", "query"):
            found, made = getattr(batch, side), getattr(make_batch(seed=seed), side)
            assert torch.equal(found.x, made.x)
            assert torch.equal(found.y, made.y)
            assert torch.equal(found.weight, made.weight)


def test_item_indices_and_batches_of_other_shapes():
    model, theta = make_mlp(features=9)
    graphs = Graphs(theta.device)
    for rows in (6, 6, 4, 6):
        g = torch.Generator().manual_seed(rows)
        x = torch.randint(9, (3, rows), generator=g)
        y = torch.randn(3, rows, generator=g, dtype=theta.dtype)
        batch = TaskBatch.from_arrays(x, y, x.flip(1), y)
        for method in ("fomaml", "amaml_rkc", "maml_sweep"):
            settings = METHOD_SETTINGS[method]
            eager = meta_gradient(method, model, theta, batch, **settings)
            captured = meta_gradient(method, model, theta, batch, graphs=graphs, **settings)
            torch.testing.assert_close(captured.gradient, eager.gradient, rtol=1e-9, atol=1e-12)


def test_several_seeds():
    model, theta = make_mlp()
    thetas = torch.stack([0.3 * theta, theta, 2.5 * theta])
    graphs = Graphs(theta.device)
    for method in METHODS:
        settings = METHOD_SETTINGS[method]
        if method in FLOWS:
            # seeds take different steps, the stiffest with most stages first
            settings = settings | {"rtol": 1e-3, "atol": 1e-5, "horizon": 4.0}
        for seed in range(2):
            batch = make_batch(seed=seed)
            eager = meta_gradient(method, model, thetas, batch, **settings)
            captured = meta_gradient(method, model, thetas, batch, graphs=graphs, **settings)
            torch.testing.assert_close(captured.gradient, eager.gradient, rtol=1e-9, atol=1e-12)
            for mine, theirs in zip(captured.works, eager.works, strict=True):
                assert mine.hvps == theirs.hvps


def test_what_cannot_be_captured_is_refused():
    model, theta = make_mlp()
    with pytest.raises(ValueError, match="needs a CUDA device"):
        MetaTrainer(
            "fomaml", model, theta, settings=METHOD_SETTINGS["fomaml"], outer_lr=1e-3, capture=True
        )
    module = ModuleModel(make_module())
    with pytest.raises(ValueError, match="closed forms"):
        Capturing(True, module, torch.device("cuda"))
    with pytest.raises(ValueError, match="closed forms"):
        meta_gradient(
            *("fomaml", module, theta, make_batch()),
            graphs=Graphs(theta.device), **METHOD_SETTINGS["fomaml"],
        )  # fmt: skip


def test_auto_captures_on_cuda_while_shapes_stay():
    """No GPU is asked anything before the first batch."""
    model, _ = make_mlp()
    cuda = torch.device("cuda")
    batch, wider = make_batch(), make_batch(support=13)
    auto = Capturing("auto", model, cuda)
    graphs = auto.graphs_for(batch)
    assert graphs is not None
    assert auto.graphs_for(make_batch(seed=1)) is graphs
    auto.expect_other_shapes()  # a seed left
    assert auto.graphs_for(wider) is graphs
    assert auto.graphs_for(batch) is None
    assert auto.graphs_for(batch) is None  # for good: shapes that changed once may change again
    always = Capturing(True, model, cuda)
    assert always.graphs_for(batch) is always.graphs_for(wider) is not None


@pytest.mark.parametrize(
    ("capture", "device", "model"),
    [
        ("auto", "cpu", make_mlp()[0]),
        ("auto", "cuda", ModuleModel(make_module())),
        (False, "cuda", make_mlp()[0]),
    ],
)
def test_what_is_not_captured(capture, device, model):
    assert Capturing(capture, model, torch.device(device)).graphs_for(make_batch()) is None


def test_auto_on_a_cpu_trains_as_ever():
    model, theta = make_mlp()
    given = {"settings": METHOD_SETTINGS["amaml_rkc"], "outer_lr": 1e-2}
    trainers = [
        MetaTrainer("amaml_rkc", model, theta, **given, capture=capture)
        for capture in ("auto", False)
    ]
    for seed in range(3):
        one, other = (trainer.step(make_batch(seed=seed)) for trainer in trainers)
        assert one == other
    assert torch.equal(trainers[0].theta, trainers[1].theta)


@pytest.mark.parametrize("capture", ["yes", None, 2])
def test_capture_is_true_false_or_auto(capture):
    with pytest.raises(ValueError, match="capture must be true, false or 'auto'"):
        Capturing(capture, make_mlp()[0], torch.device("cuda"))


@pytest.mark.gpu
@pytest.mark.parametrize("capture", [True, "auto"])
@pytest.mark.parametrize("method", ["fomaml", "amaml_rkc"])
def test_captured_training_on_a_gpu(method, capture):
    model, theta = make_mlp()
    trainers = [
        MetaTrainer(
            method, model, theta.cuda(), settings=METHOD_SETTINGS[method], outer_lr=1e-2,
            capture=how,
        )
        for how in (False, capture)
    ]  # fmt: skip
    for seed in range(4):
        for trainer in trainers:
            trainer.step(on("cuda", make_batch(seed=seed)))
    torch.testing.assert_close(trainers[0].theta, trainers[1].theta, rtol=1e-8, atol=1e-11)

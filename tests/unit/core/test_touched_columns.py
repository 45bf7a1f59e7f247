"""Items by index: only the columns that a task touches are trained, and nothing else changes."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.core import METHODS, SOLVERS, TaskBatch, meta_gradient
from pipeline.core.coordinates import Packing, touched_columns
from tests.unit.core.problems import FLOWS, METHOD_SETTINGS, make_mlp

ITEMS = 12
WIDTH = 5  # of the first hidden layer
LOOSE = {"rtol": 1e-3, "atol": 1e-5}
# (support items, query items) of two tasks; the last row of `padding` weighs nothing
CASES = {
    "repeated": ([[0, 3, 3, 3], [5, 5, 5, 5]], [[3, 0, 0], [5, 7, 5]]),
    "query_only": ([[1, 2, 1], [1, 2, 2]], [[8, 9, 8], [9, 10, 1]]),
    "support_only": ([[8, 9, 8], [9, 10, 1]], [[1, 1, 1], [1, 1, 1]]),
    "padding": ([[0, 4, 11], [2, 2, 11]], [[4, 6, 11], [7, 2, 11]]),
    "all_items": ([list(range(12)), list(range(11, -1, -1))], [[0, 5], [11, 3]]),
    "more_rows_than_items": ([[*range(12), 0, 1, 2], [4] * 15], [[7] * 6, [0] * 6]),
}


def batches(case: str) -> tuple[TaskBatch, TaskBatch]:
    """By index, and the same as one-hot rows."""
    sx, qx = (torch.tensor(side) for side in CASES[case])
    g = torch.Generator().manual_seed(1)
    sy, qy = (torch.randn(x.shape, generator=g, dtype=torch.float64) for x in (sx, qx))
    weights = {}
    if case == "padding":
        weights = {
            "support_weight": torch.tensor([[1.0, 2.0, 0.0]] * 2),
            "query_weight": torch.tensor([[1.0, 1.0, 0.0]] * 2),
        }
    hot = [nn.functional.one_hot(x, ITEMS).double() for x in (sx, qx)]
    return (
        TaskBatch.from_arrays(sx, sy, qx, qy, **weights),
        TaskBatch.from_arrays(hot[0], sy, hot[1], qy, **weights),
    )


def first_weight(parameters: Tensor) -> Tensor:
    return parameters[..., : WIDTH * ITEMS].unflatten(-1, (WIDTH, ITEMS))


def untouched(case: str, task: int | None = None) -> list[int]:
    """Items in no row of a task, or of any."""
    tasks = range(2) if task is None else [task]
    seen = {item for side in CASES[case] for t in tasks for item in side[t]}
    return [item for item in range(ITEMS) if item not in seen]


def compare(method: str, case: str, settings: dict) -> None:
    model, theta = make_mlp((WIDTH, 4), features=ITEMS)
    indexed, dense = batches(case)
    found = meta_gradient(method, model, theta, indexed, **settings)
    wanted = meta_gradient(method, model, theta, dense, **settings)
    bound = 1e-9 if method in FLOWS else 1e-12
    for name in ("gradient", "adapted", "query_loss"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert float((a - b).norm() / b.norm()) < bound, name
    # step sizes come out the same, though fewer parameters are integrated
    for name in ("accepted", "rejected", "gradients", "hvps"):
        assert getattr(found.work, name) == getattr(wanted.work, name), name
    assert not first_weight(found.gradient)[:, untouched(case)].any()
    for task in range(2):
        idle = untouched(case, task)
        kept = first_weight(found.adapted[task])[:, idle]
        assert torch.equal(kept, first_weight(theta)[:, idle])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_equals_the_one_on_one_hot_rows(method, case):
    settings = METHOD_SETTINGS[method]
    compare(method, case, settings | LOOSE if method in FLOWS else settings)


@pytest.mark.parametrize("backward", ["modified_euler", "discrete", "euler"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_equals_the_one_on_one_hot_rows(solver, backward):
    forms = {"solver": solver, "backward": backward, "omega": 0.5, "regulariser": 0.4}
    forms |= {"outer_regulariser": 0.3}
    compare("amaml", "query_only", {"horizon": 3.0, "step": 0.1, **LOOSE, **forms})


@pytest.mark.parametrize("omega", [0.0, 0.5])
@pytest.mark.parametrize("case", ["query_only", "padding"])
def test_early_stopping_equals_the_one_on_one_hot_rows(case, omega):
    forms = {"horizon": 8.0, "early_stopping": True, "omega": omega, "regulariser": 0.1}
    compare("amaml_rkc", case, forms | LOOSE)


def test_items_that_only_padding_touches_have_no_gradient():
    model, theta = make_mlp((WIDTH, 4), features=ITEMS)
    indexed, _ = batches("padding")
    for method in METHODS:
        out = meta_gradient(method, model, theta, indexed, **METHOD_SETTINGS[method])
        assert not first_weight(out.gradient)[:, 11].any()


@pytest.mark.parametrize("case", CASES)
def test_touched_columns(case):
    x = torch.cat([torch.tensor(side) for side in CASES[case]], 1)
    columns, local = touched_columns(x, ITEMS)
    assert columns.shape == (2, min(x.shape[1], ITEMS))
    assert torch.equal(columns.gather(1, local), x)  # every row finds its item
    for found, row in zip(columns.tolist(), x.tolist(), strict=True):
        seen = sorted(set(row))
        assert found[: len(seen)] == seen  # those touched, in ascending order
        assert len(set(found)) == len(found)
        assert set(found) <= set(range(ITEMS))


SHAPES = [(WIDTH, ITEMS), (4, WIDTH), (1, 4)]
SIZE = sum(out * into + out for out, into in SHAPES)


def net() -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(into, out, dtype=torch.float64) for out, into in SHAPES))


def test_all_packed_are_the_layers_of_nn_sequential_transposed_with_their_bias():
    layers = net()
    theta = nn.utils.parameters_to_vector(layers.parameters()).detach()[None]
    packing = Packing(SHAPES, None, theta.device)
    packed = packing.pack(theta, 3)
    wanted = torch.cat([torch.cat([a.weight.T.flatten(), a.bias]) for a in layers]).detach()
    assert torch.equal(packed, wanted.repeat(3, 1))
    assert torch.equal(packing.full(packed, theta), theta.repeat(3, 1))
    assert torch.equal(packing.mean(packed, 1), theta.repeat(3, 1).mean(0, keepdim=True))


@pytest.mark.parametrize("seeds", [1, 2])
def test_packing_some_columns_and_back(seeds):
    g = torch.Generator().manual_seed(2)
    theta = torch.randn(seeds, SIZE, generator=g, dtype=torch.float64)
    columns = torch.stack([torch.randperm(ITEMS, generator=g)[:5] for _ in range(4)])
    packing = Packing(SHAPES, columns, theta.device)
    packed = packing.pack(theta, 4)
    each = theta.repeat_interleave(4 // seeds, 0)
    assert packed.shape == (4, SIZE - (ITEMS - 5) * WIDTH)
    for row in range(4):  # columns as rows, in the order asked for
        block = first_weight(each[row])[:, columns[row]].T.flatten()
        assert torch.equal(packed[row, : 5 * WIDTH], block)
    assert torch.equal(packing.full(packed, theta), each)
    moved = packing.full(packed + 1, theta)
    change = first_weight(moved - each)
    for row in range(4):
        idle = [item for item in range(ITEMS) if item not in columns[row].tolist()]
        assert not change[row][:, idle].any()
        assert change[row][:, columns[row]].allclose(torch.ones((), dtype=torch.float64))
    # the mean is that of vectors with zeros where nothing was packed
    whole = packing.full(packed, torch.zeros_like(theta))
    wanted = whole.unflatten(0, (seeds, -1)).mean(1)
    torch.testing.assert_close(packing.mean(packed, seeds), wanted, rtol=1e-14, atol=1e-15)
    part = packing.select(slice(1, 3))
    assert torch.equal(part.full(packed[1:3], each[1:3]), each[1:3])

"""Named losses: closed forms against `torch.func`, outputs of several units, classes, borders."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.core import LOSSES, METHODS, MLP, ModuleModel, Rows, TaskBatch, meta_gradient
from pipeline.core.losses import row_loss
from tests.unit.core.problems import ACTIVATIONS, METHOD_SETTINGS, Net

TASKS, FEATURES = 3, 2
# loss, outputs: of one number, of several, of classes
CASES = [
    (name, outputs)
    for name, loss in LOSSES.items()
    for outputs in ((2, 4) if loss.of_classes else (1, 3))
]


def targets(loss: str, outputs: int, rows: int, g: torch.Generator) -> Tensor:
    if LOSSES[loss].of_classes:
        return torch.randint(outputs, (TASKS, rows), generator=g)
    shape = (TASKS, rows) if outputs == 1 else (TASKS, rows, outputs)
    drawn = torch.randn(shape, generator=g, dtype=torch.float64)
    return (drawn > 0).double() if loss == "binary" else 2 * drawn


def batch_for(loss: str, outputs: int) -> TaskBatch:
    g = torch.Generator().manual_seed(0)
    sx = torch.randn(TASKS, 12, FEATURES, generator=g, dtype=torch.float64)
    qx = torch.randn(TASKS, 9, FEATURES, generator=g, dtype=torch.float64)
    sy, qy = (targets(loss, outputs, n, g) for n in (12, 9))
    weight = torch.ones(TASKS, 12)
    weight[1, 8:] = 0
    return TaskBatch.from_arrays(sx, sy, qx, qy, support_weight=weight, dtype=torch.float64)


def models(loss: str, outputs: int, activation: str = "tanh") -> tuple[MLP, ModuleModel]:
    closed = MLP(FEATURES, (5, 4), activation, outputs=outputs, loss=loss)
    return closed, ModuleModel(Net(FEATURES, (5, 4), activation, outputs), loss)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_closed_forms_equal_torch_func(loss: str, outputs: int, activation: str) -> None:
    rows = batch_for(loss, outputs).support
    closed, module = models(loss, outputs, activation)
    g = torch.Generator().manual_seed(5)
    u, v = (torch.randn(TASKS, closed.n_parameters, generator=g).double() for _ in "uv")
    one, two = closed.loss(rows).at(u), module.loss(rows).at(u)
    torch.testing.assert_close(one.value(), two.value(), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(one.gradient(), two.gradient(), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(one.hvp(v), two.hvp(v), rtol=1e-10, atol=1e-12)
    found, wanted = closed.predict(u, rows.x), module.predict(u, rows.x)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    assert found.shape == ((TASKS, 12) if outputs == 1 else (TASKS, 12, outputs))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("loss", "outputs"), [(name, n) for name, n in CASES if n != 1])
def test_every_method_on_every_loss(method: str, loss: str, outputs: int) -> None:
    batch = batch_for(loss, outputs)
    closed, module = models(loss, outputs)
    theta = 1.5 * closed.init(torch.Generator().manual_seed(1), dtype=torch.float64)
    settings = METHOD_SETTINGS[method]
    one, two = (
        meta_gradient(method, model, theta, batch, **settings) for model in (closed, module)
    )
    torch.testing.assert_close(one.gradient, two.gradient, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_true_meta_gradients_equal_finite_differences(loss: str, outputs: int) -> None:
    """The Huber loss has kinks: it is smooth along the trajectory all the same."""
    batch = batch_for(loss, outputs)
    model, _ = models(loss, outputs)
    theta = 1.5 * model.init(torch.Generator().manual_seed(1), dtype=torch.float64)
    settings = {"inner_steps": 20, "inner_lr": 0.05}
    direction = torch.randn(theta.shape, generator=torch.Generator().manual_seed(2)).double()
    direction /= direction.norm()

    def query_loss(start: Tensor) -> float:
        out = meta_gradient("fomaml", model, start, batch, **settings)
        return float(out.query_loss.mean())

    out = meta_gradient("maml_sweep", model, theta, batch, **settings)
    step = 1e-5
    found = (query_loss(theta + step * direction) - query_loss(theta - step * direction)) / 2 / step
    assert float(out.gradient @ direction) == pytest.approx(found, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        ("squared", lambda p, y: 0.5 * nn.functional.mse_loss(p, y, reduction="none")),
        ("huber", lambda p, y: nn.functional.huber_loss(p, y, reduction="none")),
        (
            "binary",
            lambda p, y: nn.functional.binary_cross_entropy_with_logits(p, y, reduction="none"),
        ),
        ("cross_entropy", lambda p, y: nn.functional.cross_entropy(p, y, reduction="none")),
    ],
)
def test_losses_are_those_of_torch(loss: str, reference) -> None:
    g = torch.Generator().manual_seed(0)
    outputs = 3 if LOSSES[loss].of_classes else 1
    y = targets(loss, outputs, 7, g)[0]
    shape = (7, outputs) if outputs > 1 else (7,)
    prediction = 2 * torch.randn(shape, generator=g, dtype=torch.float64)
    torch.testing.assert_close(row_loss(loss)(prediction, y), reference(prediction, y))


def test_losses_far_out_stay_finite() -> None:
    z = torch.tensor([[-800.0, 0.0, 800.0], [800.0, 0.0, -800.0]], dtype=torch.float64)
    for name, loss in LOSSES.items():
        y = torch.zeros(1, 3, dtype=torch.int64) if loss.of_classes else torch.zeros(2, 3)
        found = (loss.value(z, y), loss.slope(z, y), loss.product(z, torch.ones_like(z)))
        assert all(bool(torch.isfinite(part).all()) for part in found), name


def test_whole_numbers_as_targets_of_a_regression_are_numbers() -> None:
    batch = batch_for("squared", 1)
    whole = Rows(batch.support.x, batch.support.y.round().long(), batch.support.weight)
    same = Rows(batch.support.x, batch.support.y.round(), batch.support.weight)
    for model in models("squared", 1):
        u = torch.ones(TASKS, model.n_parameters, dtype=torch.float64) / 3
        assert torch.equal(model.loss(whole).at(u).value(), model.loss(same).at(u).value())


@pytest.mark.parametrize("kind", [0, 1], ids=["closed_form", "module"])
@pytest.mark.parametrize(
    ("loss", "outputs", "y", "said"),
    [
        ("cross_entropy", 3, torch.full((TASKS, 12), 3), "classes 3 to 3"),
        ("cross_entropy", 3, torch.full((TASKS, 12), -1), "classes -1 to -1"),
        ("cross_entropy", 3, torch.zeros(TASKS, 12), "numbers of classes"),
        ("cross_entropy", 3, torch.zeros(TASKS, 12, 3).long(), "targets"),
        ("binary", 1, torch.full((TASKS, 12), 2.0), "from 0 to 1"),
        ("squared", 3, torch.zeros(TASKS, 12), "targets"),
        ("squared", 1, torch.zeros(TASKS, 12, 3), "targets"),
        ("huber", 3, torch.zeros(TASKS, 12, 2), "targets"),
    ],
)
def test_targets_that_do_not_fit_are_refused(
    kind: int, loss: str, outputs: int, y: Tensor, said: str
) -> None:
    rows = batch_for("squared", 1).support
    batch = TaskBatch.from_arrays(rows.x, y, rows.x, y, dtype=torch.float64)
    model = models(loss, outputs)[kind]
    theta = torch.ones(model.n_parameters, dtype=torch.float64) / 3
    with pytest.raises(ValueError, match=said):
        meta_gradient("fomaml", model, theta, batch, **METHOD_SETTINGS["fomaml"])


@pytest.mark.parametrize("loss", ["mse", None, 3])
def test_unknown_losses_are_refused(loss: object) -> None:
    with pytest.raises(ValueError, match="none of squared"):
        MLP(2, (3,), loss=loss)


def test_classes_need_outputs() -> None:
    with pytest.raises(ValueError, match="an output for each class"):
        MLP(2, (3,), loss="cross_entropy")


class ConvNet(nn.Module):
    """On images (N, 2, 6, 6)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, dtype=torch.float64)
        self.head = nn.Linear(3, outputs, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("method", METHODS)
def test_inputs_of_any_shape(method: str) -> None:
    """Images and classes, against the same images handed over flat."""

    class Flat(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.view(-1, 2, 6, 6))

    torch.manual_seed(0)
    net = ConvNet(3)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 2, 6, 6, generator=g, dtype=torch.float64)
    y = torch.randint(3, (2, 8), generator=g)
    theta = nn.utils.parameters_to_vector(net.parameters()).detach()
    found = [
        meta_gradient(
            method,
            ModuleModel(module, "cross_entropy"),
            theta,
            TaskBatch.from_arrays(
                inputs[:, :5], y[:, :5], inputs[:, 5:], y[:, 5:], dtype=torch.float64
            ),
            **METHOD_SETTINGS[method],
        ).gradient
        for module, inputs in ((net, x), (Flat(net), x.flatten(2)))
    ]
    torch.testing.assert_close(*found)


def test_a_closed_form_flattens_inputs() -> None:
    model, _ = models("squared", 1)
    u = torch.ones(TASKS, model.n_parameters, dtype=torch.float64) / 3
    x = batch_for("squared", 1).support.x
    assert torch.equal(model.predict(u, x.view(TASKS, 12, 2, 1)), model.predict(u, x))

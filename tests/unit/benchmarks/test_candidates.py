"""Candidates do equal work: peers' gradients, the first forms, the reference, the counts."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import flops, peers, prototype, reference
from benchmarks.candidates import CANDIDATES, CAPTURED, counts
from benchmarks.problem import ALPHA, HORIZONS, cos_mixture, digest
from pipeline.core import MLP, meta_gradient
from pipeline.core.work import Work as Counts

STEPS = 4
EXACT = ("maml_sweep", "maml_loop", "higher", "torchopt")
JAX = [name for name in CANDIDATES if name.startswith("jax")]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def work():
    return cos_mixture(3, rows=20, hidden=(8, 8), dtype=torch.float64)


def made(name, work, steps=STEPS):
    candidate = CANDIDATES[name]
    if reason := candidate.absent(CPU):
        pytest.skip(reason)
    update = candidate.make(work, steps)
    update.run()
    return candidate, update


def close(found, exact, tolerance):
    assert reference.compare(found, exact)["relative_error"] < tolerance


@pytest.mark.parametrize("name", EXACT)
def test_unrolled_peers_compute_mamls_gradient(name, work):
    _, maml = made("maml", work)
    _, peer = made(name, work)
    close(peer.gradient(), maml.gradient(), 1e-6)
    peer.run()  # and again: no state is left over from the first update
    close(peer.gradient(), maml.gradient(), 1e-6)


def test_the_plain_first_order_loop_computes_fomamls_gradient(work):
    close(made("fomaml_loop", work)[1].gradient(), made("fomaml", work)[1].gradient(), 1e-6)


@pytest.mark.parametrize("name", JAX)
def test_jax_peers_compute_our_gradient_as_they_are_measured(name):
    work = cos_mixture()
    ours = "fomaml" if name == "jax_fomaml" else "maml"
    _, peer = made(name, work, 50)
    close(peer.gradient(), made(ours, work, 50)[1].gradient().double(), 1e-5)


def test_a_jax_update_steps_as_torchs_adam_does(work):
    made("jax_fomaml", work)  # or skip
    from benchmarks.jax_peers import JaxUpdate

    plain = peers.PeerUpdate(peers.fomaml_loop, work, STEPS, ALPHA, 1e-2)
    compiled = JaxUpdate("jax_fomaml", work, STEPS, ALPHA, 1e-2)
    for _ in range(3):
        plain.run()
        compiled.run()
        close(compiled.gradient(), plain.gradient(), 1e-6)


def test_what_a_compiler_tells(work):
    _, few = made("jax_sweep", work, 10)
    _, many = made("jax_sweep", work, 110)
    assert many.compiled["compile_seconds"] > 0
    states = 100 * len(work.batch) * work.theta.nbytes
    grown = many.compiled["peak_tensor_bytes"] - few.compiled["peak_tensor_bytes"]
    assert grown == pytest.approx(states, rel=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the times of threads from /proc")
def test_jax_computes_on_one_thread(work):
    made("jax_fomaml", work)  # or skip
    import jax

    def ticks():
        found = {}
        for thread in Path("/proc/self/task").iterdir():
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
            found[thread.name] = int(fields[11]) + int(fields[12])  # in user and system mode
        return found

    a = jax.numpy.ones((2048, 2048))
    product = jax.jit(lambda a: jax.numpy.tanh(a @ a) @ a)
    product(a).block_until_ready()
    before = ticks()
    product(a).block_until_ready()
    spent = [after - before.get(thread, 0) for thread, after in ticks().items()]
    assert max(spent) > 0.9 * sum(spent)


def test_without_jax_or_on_a_gpu_its_peers_are_absent(monkeypatch):
    for name in JAX:
        assert "CPU alone" in CANDIDATES[name].absent(torch.device("cuda"))
    monkeypatch.delitem(sys.modules, "benchmarks.jax_peers", raising=False)
    monkeypatch.setitem(sys.modules, "jax", None)
    for name in JAX:
        assert "import of jax halted" in CANDIDATES[name].absent(CPU)


def test_the_first_forms_of_amaml_compute_its_gradient(work):
    tight = {"horizon": 0.2, "step": 0.01, "rtol": 1e-12, "atol": 1e-14}
    exact = meta_gradient("amaml", work.model, work.theta, work.batch, **tight).gradient
    for form in (prototype.frozen, prototype.repeated):
        update = prototype.PrototypeUpdate(form, work, tight, outer_lr=0.0)
        update.run()
        close(update.gradient(), exact, 1e-10)
        assert update.counts.hvps == 2 * 20


def test_the_frozen_closed_form_is_the_cores(work):
    u = work.theta.repeat(len(work.batch), 1)
    u = u + 0.1 * torch.randn(u.shape, generator=torch.Generator().manual_seed(1)).to(u)
    v = torch.randn(u.shape, generator=torch.Generator().manual_seed(2)).to(u)
    point = work.model.loss(work.batch.support).at(u)
    side = prototype.frozen(work, work.batch.support)
    torch.testing.assert_close(side.gradient(u), point.gradient(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(side.product(u, v), point.hvp(v), rtol=1e-10, atol=1e-12)


def test_the_frozen_form_does_not_move_with_the_core(work, monkeypatch):
    def gone(*_):
        raise AssertionError("the baseline asked pipeline.core for a closed form")

    monkeypatch.setattr(MLP, "loss", gone)
    update = CANDIDATES["amaml_prototype"].make(work, STEPS)
    update.run()
    assert torch.isfinite(update.gradient()).all()


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_counts_its_work_and_solves_the_same_problem_again(name, work):
    candidate, update = made(name, work)
    found = update.gradient().clone()
    update.run()
    assert counts(candidate, update, STEPS).gradients > 0
    close(update.gradient(), found, 1e-2 if "rkc" in name or "anytime" in name else 1e-6)


@pytest.mark.parametrize("omega", reference.OMEGAS.values())
def test_the_reference_is_the_limit_of_amaml(omega, work):
    exact, error = reference.converged(work, 0.2, omega)
    assert error < 1e-8
    found = meta_gradient(
        "amaml",
        work.model,
        work.theta,
        work.batch,
        horizon=0.2,
        step=0.004,
        rtol=1e-8,
        atol=1e-10,
        omega=omega,
    )
    close(found.gradient, exact, 1e-4)


def test_the_kept_reference_belongs_to_the_problem_and_is_converged():
    exact = reference.load(cos_mixture())
    assert {steps for steps, _ in exact} >= set(HORIZONS)
    entries = json.loads(reference.PATH.read_text())["entries"]
    assert max(entry["estimated_relative_error"] for entry in entries) < 1e-6
    with pytest.raises(ValueError, match="another problem"):
        reference.load(cos_mixture(4))


def test_the_problem_is_the_same_in_every_dtype():
    assert digest(cos_mixture()) == digest(cos_mixture(dtype=torch.float64))


def counted_flops():
    """torch's own counter, taught the product in place."""

    def in_place(_, a, b, *, out_shape=None, **options):
        return 2 * a[0] * a[1] * a[2] * b[2]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: in_place})


def test_counted_flops_are_those_of_the_closed_forms(work):
    start = work.theta.repeat(len(work.batch), 1)
    loss = work.model.loss(work.batch.support)
    with counted_flops() as gradient:
        point = loss.at(start)
        point.gradient()
    # biases of the first layer ride along as one more input, and outer products with the last
    # layer's weights are elementwise to torch
    rows = work.batch.support.y.numel()
    ride, outer = 2 * rows * work.hidden[0], 2 * rows * work.hidden[-1]
    assert gradient.get_total_flops() == flops.of_gradient(work) + 2 * ride - outer
    with counted_flops() as product:
        point.hvp(start)
    assert product.get_total_flops() == flops.of_product(work) + 2 * ride - 2 * outer


def test_what_the_core_does_not_offer_is_absent():
    for candidate in CAPTURED.values():
        reason = candidate.absent(CPU)
        assert reason is None or "no option capture" in reason


def test_counts_of_unrolled_peers():
    assert CANDIDATES["higher"].counts(7) == Counts(gradients=8, hvps=7)
    assert CANDIDATES["fomaml_loop"].counts(7) == Counts(gradients=8)

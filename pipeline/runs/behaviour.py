"""Whether code behaves as it did: the numbers of a probe (probes.py), then and now."""

import math
from collections.abc import Iterable, Mapping

Behaviour = dict[str, float | None]  # name of a number -> its value, None where it is undefined

# Relative to the number itself. The largest difference seen between one and two threads, and
# between AVX-512 and plain SSE instructions, is 1e-7 (a study's; of runs 2e-10), over 125 probes. A
# changed term of a method moves some number by more than 1e-4, another epsilon of Adam by 1e-5
# (tests/unit/runs/test_behaviour.py).
BOUND = 1e-6
SCALES = ("target_std", "target_range", "inner_steps")  # that every probe of a run names


def difference(kept: Mapping[str, float | None], found: Mapping[str, float | None]) -> str | None:
    """Which number differs most, and by how much; None where all agree within `BOUND`."""
    if missing := sorted(kept.keys() ^ found.keys()):
        where = "the evidence" if missing[0] in kept else "this code"
        return f"only {where} has the number {missing[0]}"
    worst, name = max((_distance(kept[name], found[name]), name) for name in kept)
    if worst <= BOUND:
        return None
    return f"{name} is {_text(kept[name])} in the evidence and {_text(found[name])} with this code"


def of_reference(behaviour: Mapping[str, float | None]) -> Behaviour:
    """Those numbers of a run that do not depend on its method."""
    return {
        name: value
        for name, value in behaviour.items()
        if name in SCALES or (name.startswith("test.") and not name.startswith("test.meta_init."))
    }


def of_predictors(behaviour: Mapping[str, float | None], names: Iterable[str]) -> Behaviour:
    """Those numbers of a reference that predictors gave."""
    begins = tuple(f"test.{name}." for name in names)
    return {name: value for name, value in behaviour.items() if name.startswith(begins)}


def _distance(a: float | None, b: float | None) -> float:
    """Relative to the larger; infinite where only one is defined."""
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    largest = max(abs(a), abs(b))
    # below this a number is the rounding of what cancels
    return abs(a - b) / largest if largest > 1e-12 else 0.0


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.9g}"

"""`aggregation.csv`: what scaling the tasks' meta-gradients does, at each meta-batch.

A method and those that vary `aggregate` and `meta_batch` of it (and nothing else) are one family
of runs. Each rule is compared with the plain mean at the same meta-batch on the same test tasks;
p values are Holm-corrected within a setting.
"""

from pipeline.config.measures import Measure
from pipeline.config.variants import variant_of
from pipeline.runs.recipe import outer_loop
from pipeline.runs.records import validation_error
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed
from pipeline.tables.main import pooled_error
from pipeline.tables.paired import correct, errors_by_seed, paired

VARIED = {"aggregate", "meta_batch"}


def aggregation_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `aggregation.csv`."""
    return (
        *("grid", "setting", "dataset", "inner_steps", "base", "label", "aggregate", "meta_batch"),
        *("n_seeds", "n_failed", measure.validation, measure.name, measure.stderr),
        *("difference", "lo", "hi", "rank_biserial", "p", "p_holm", "n_pairs"),
    )


def aggregation_rows(grid: str, runs: list[SettingRuns]) -> list[Row]:
    """Rows of `aggregation.csv` in canonical order; [] where no method varies `aggregate`.

    `difference` is the rule's error minus that of the mean: negative where the rule is better.
    """
    rows = []
    for of in runs:
        own = []
        for base in of.labels:
            found = {label: _varied(label, base) for label in of.labels}
            family = [base, *(label for label, varied in found.items() if varied)]
            if any("aggregate" in varied for varied in found.values()):
                own += [_row(grid, of, base, family, label) for label in family]
        correct(own)
        rows += own
    return rows


def _varied(label: str, base: str) -> set[str]:
    """What a label varies of a method, where it is of the two alone; otherwise nothing."""
    variant = variant_of(label)
    if variant is None or variant.base != base or not variant.varied.keys() <= VARIED:
        return set()
    return set(variant.varied)


def _training(of: SettingRuns, label: str) -> tuple[str, int]:
    """Rule and meta-batch of a label's runs."""
    spec = next(iter(of.runs[label].values())).spec
    return outer_loop(spec)["aggregate"], spec["training"]["meta_batch"]


def _row(grid: str, of: SettingRuns, base: str, family: list[str], label: str) -> Row:
    rule, size = _training(of, label)
    mean = next((other for other in family if _training(of, other) == ("mean", size)), None)
    done = [run for run in of.runs[label].values() if not is_failed(run)]
    validated = [validation_error(run) for run in done]
    test = pooled_error(of, label, of.inner_steps, of.seeds)
    row: Row = {
        "grid": grid,
        "setting": of.setting,
        "dataset": of.dataset,
        "inner_steps": of.inner_steps,
        "base": base,
        "label": label,
        "aggregate": rule,
        "meta_batch": size,
        "n_seeds": len(done),
        "n_failed": len(of.runs[label]) - len(done),
        of.measure.validation: sum(validated) / len(done) if done else None,
        of.measure.name: test.mean,
        of.measure.stderr: test.stderr,
    }
    if mean is None or rule == "mean":
        return row
    mine, theirs = (errors_by_seed(of, name, of.inner_steps) for name in (label, mean))
    return row | paired(mine, theirs, f"aggregation/{of.setting}")

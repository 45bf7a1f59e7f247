"""Tables to figures: `results/{grid}/figures/{name}.svg` and `.png`.

    curves     nRMSE against test steps, with standard errors
    training   meta-loss and validation nRMSE against meta-updates
    memory     peak memory per meta-update against inner steps (the paper's Figure 3)
    time       seconds per meta-update against inner steps (the paper's Figure 4)
    instances  one task of each synthetic family, if the grid has any
    ratings    our methods minus item mean + user offset, if it has ratings
    equal_cost errors against what training cost, if it has synthetic families
    ledger     fidelity of the meta-gradient against meta-updates, if a ledger was kept
    fidelity_nrmse   test errors against that fidelity
    stability, stiffness, fidelity   of the studies that the grid has
    ablation, horizons   of grids that have these tables

The bytes depend on the tables, the task sets and matplotlib's version alone.
"""

from pathlib import Path

import pandas as pd

from pipeline.config.titles import OFFSET
from pipeline.errors import BadInput
from pipeline.figures.ablation import draw_ablation
from pipeline.figures.costs import draw_equal_cost, draw_memory, draw_time
from pipeline.figures.curves import draw_curves, draw_training
from pipeline.figures.horizons import draw_horizons
from pipeline.figures.instances import draw_instances, synthetic_settings
from pipeline.figures.ledger import draw_fidelity_nrmse, draw_ledger
from pipeline.figures.ratings import draw_ratings
from pipeline.figures.studies import draw_fidelity, draw_noise, draw_stability, draw_stiffness
from pipeline.figures.style import house_style, save
from pipeline.tables.series import ledger_entries

EXTRA_FIGURES = {
    "stability": draw_stability,
    "stiffness": draw_stiffness,
    "fidelity": draw_fidelity,
    "noise": draw_noise,
    "ablation": draw_ablation,
    "horizons": draw_horizons,
}


def plot_curves(results_dir: Path, *, tasks_dir: Path, grid: str, settings: list[str]) -> None:
    """Draw the figures from `results_dir/tables/` into `results_dir/figures/`.

    Args:
        results_dir: `results/{grid}`.
        tasks_dir: folder of task sets; those of the grid's synthetic families are read.
        grid: name of the grid, for messages.
        settings: panels; their order does not matter.

    Raises:
        BadInput: when a table, a setting in it, or a task set is missing.
    """
    tables = {name: _read(results_dir, name) for name in ("main", "curves", "training", "costs")}
    main = tables["main"]
    known = list(dict.fromkeys(main["setting"]))  # the canonical order
    missing = sorted(set(settings) - set(known))
    if missing or not settings:
        raise BadInput(
            f"{results_dir}/tables/main.csv: found the settings {', '.join(known)}; needed "
            f"{', '.join(missing) or 'at least one'} for grid '{grid}'. Run `snakemake` again, "
            "or `python -m pipeline build-tables`."
        )
    chosen = [setting for setting in known if setting in settings]
    synthetic = synthetic_settings(main, chosen)
    seed = int(_read(results_dir, "per_seed")["seed"].min())
    with house_style():
        figures = {
            "curves": draw_curves(tables["curves"], main, chosen),
            "training": draw_training(tables["training"], main, chosen),
            "memory": draw_memory(tables["costs"]),
            "time": draw_time(tables["costs"]),
        }
        if synthetic:
            figures["instances"] = draw_instances(synthetic, tasks_dir, seed)
            equal_cost = _read(results_dir, "equal_cost")
            figures["equal_cost"] = draw_equal_cost(equal_cost[equal_cost["setting"].isin(chosen)])
        if rated := [setting for setting in chosen if setting in _rated(main)]:
            comparisons = _read(results_dir, "comparisons")
            figures["ratings"] = draw_ratings(comparisons, main, rated)
        kept = set(ledger_entries(tables["training"])["setting"])
        if measured := [setting for setting in chosen if setting in kept]:
            figures["ledger"] = draw_ledger(tables["training"], main, measured)
            figures["fidelity_nrmse"] = draw_fidelity_nrmse(tables["training"], main, measured)
        for name, draw in EXTRA_FIGURES.items():
            if (results_dir / "tables" / f"{name}.csv").is_file():
                figures[name] = draw(_read(results_dir, name))
            else:
                for suffix in ("svg", "png"):  # of what left the grid
                    (results_dir / "figures" / f"{name}.{suffix}").unlink(missing_ok=True)
        for name, figure in figures.items():
            save(figure, results_dir / "figures" / name)


def _rated(main: pd.DataFrame) -> set[str]:
    """Settings with the trivial predictor that ratings are judged by."""
    return set(main.loc[main["label"] == OFFSET, "setting"])


def _read(results_dir: Path, name: str) -> pd.DataFrame:
    path = results_dir / "tables" / f"{name}.csv"
    try:
        return pd.read_csv(path, dtype={"setting": str, "label": str, "message": str})
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); needed the table that `build-tables` writes. "
            "Run `snakemake` again, or `python -m pipeline build-tables`."
        ) from error

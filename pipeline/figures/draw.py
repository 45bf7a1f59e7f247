"""Tables to figures: `results/{grid}/figures/{name}.svg` and `.png`.

Which there are, what each shows and from which tables: pipeline/config/figures.py. The bytes
depend on the tables, the task sets and matplotlib's version alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pipeline.config.figures import FIGURES, MOST_LINES
from pipeline.config.tables import TABLES
from pipeline.config.titles import OFFSET
from pipeline.errors import BadInput
from pipeline.figures.ablation import draw_ablation
from pipeline.figures.aggregation import draw_aggregation
from pipeline.figures.costs import draw_equal_cost, draw_memory, draw_time
from pipeline.figures.curves import draw_curves, draw_training
from pipeline.figures.horizons import draw_horizons
from pipeline.figures.instances import draw_instances, synthetic_settings
from pipeline.figures.ledger import draw_fidelity_nrmse, draw_ledger
from pipeline.figures.norms import draw_norms
from pipeline.figures.ratings import draw_ratings
from pipeline.figures.studies import draw_fidelity, draw_noise, draw_stability, draw_stiffness
from pipeline.figures.style import house_style, save
from pipeline.tables.series import ledger_entries


@dataclass(frozen=True)
class Given:
    """What figures are drawn from.

    Attributes:
        table: reads one by its name.
        settings: panels, in canonical order.
        tasks_dir: folder of task sets.
    """

    table: Callable[[str], pd.DataFrame]
    settings: list[str]
    tasks_dir: Path

    def lines(self, name: str) -> pd.DataFrame:
        """A table's rows of the lines to draw, with their labels.

        Of more than `MOST_LINES` methods a line is a method, in the setting's variant that
        validation tasks chose; where a table is of no setting, in no variant.
        """
        table, main = self.table(name), self.table("main")
        if main.loc[main["kind"] == "method", "label"].nunique() <= MOST_LINES:
            return table
        try:
            choices = self.table("choices")
        except BadInput:  # methods that vary none: there was nothing to choose
            return table
        variants = table["label"].isin(choices["label"])
        if "setting" not in table:
            return table[~variants | table["label"].isin(choices["base"])]
        chosen = choices.loc[choices["chosen"].astype(bool), ["setting", "label", "base"]]
        bases = table[["setting", "label"]].merge(chosen, "left")["base"].set_axis(table.index)
        return table.assign(label=bases.fillna(table["label"]))[~variants | bases.notna()]


def _instances(given: Given) -> Figure | None:
    synthetic = synthetic_settings(given.table("main"), given.settings)
    seed = int(given.table("per_seed")["seed"].min())
    return draw_instances(synthetic, given.tasks_dir, seed) if synthetic else None


def _equal_cost(given: Given) -> Figure:
    table = given.lines("equal_cost")
    return draw_equal_cost(table[table["setting"].isin(given.settings)])


def _ratings(given: Given) -> Figure | None:
    """Of settings with the trivial predictor that ratings are judged by."""
    main = given.table("main")
    rated = set(main.loc[main["label"] == OFFSET, "setting"])
    settings = [setting for setting in given.settings if setting in rated]
    return draw_ratings(given.table("comparisons"), main, settings) if settings else None


def _of_ledger(draw: Callable[[pd.DataFrame, pd.DataFrame, list[str]], Figure]) -> "Draw":
    """Of settings whose training kept a ledger."""

    def drawn(given: Given) -> Figure | None:
        training = given.table("training")
        kept = set(ledger_entries(training)["setting"])
        settings = [setting for setting in given.settings if setting in kept]
        return draw(training, given.table("main"), settings) if settings else None

    return drawn


Draw = Callable[[Given], Figure | None]  # None: nothing to draw
DRAW: dict[str, Draw] = {
    "curves": lambda g: draw_curves(g.lines("curves"), g.table("main"), g.settings),
    "training": lambda g: draw_training(g.lines("training"), g.table("main"), g.settings),
    "norms": lambda g: draw_norms(g.lines("norms"), g.table("main"), g.settings),
    "aggregation": lambda g: draw_aggregation(g.table("aggregation")),
    "memory": lambda g: draw_memory(g.lines("costs")),
    "time": lambda g: draw_time(g.lines("costs")),
    "instances": _instances,
    "equal_cost": _equal_cost,
    "ratings": _ratings,
    "ledger": _of_ledger(draw_ledger),
    "fidelity_nrmse": _of_ledger(draw_fidelity_nrmse),
    "stability": lambda g: draw_stability(g.table("stability")),
    "stiffness": lambda g: draw_stiffness(g.table("stiffness")),
    "fidelity": lambda g: draw_fidelity(g.table("fidelity")),
    "noise": lambda g: draw_noise(g.table("noise")),
    "ablation": lambda g: draw_ablation(g.table("ablation")),
    "horizons": lambda g: draw_horizons(g.table("horizons")),
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
    main = _read(results_dir, "main")
    known = list(dict.fromkeys(main["setting"]))  # the canonical order
    missing = sorted(set(settings) - set(known))
    if missing or not settings:
        raise BadInput(
            f"{results_dir}/tables/main.csv: found the settings {', '.join(known)}; needed "
            f"{', '.join(missing) or 'at least one'} for grid '{grid}'. Run `snakemake` again, "
            "or `python -m pipeline build-tables`."
        )
    chosen = [setting for setting in known if setting in settings]
    given = Given(cache(lambda name: _read(results_dir, name)), chosen, tasks_dir)
    with house_style():
        for name, draw in DRAW.items():
            place = results_dir / "figures" / name
            there = all(
                TABLES[table].has is None or _path(results_dir, table).is_file()
                for table in FIGURES[name].tables
            )
            figure = draw(given) if there else None
            if figure is not None:
                save(figure, place)
            else:  # of what left the grid
                for suffix in (".svg", ".png"):
                    place.with_suffix(suffix).unlink(missing_ok=True)


def _path(results_dir: Path, name: str) -> Path:
    return results_dir / "tables" / f"{name}.csv"


def _read(results_dir: Path, name: str) -> pd.DataFrame:
    path = _path(results_dir, name)
    try:
        return pd.read_csv(path, dtype={"setting": str, "label": str, "message": str})
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); needed the table that `build-tables` writes. "
            "Run `snakemake` again, or `python -m pipeline build-tables`."
        ) from error

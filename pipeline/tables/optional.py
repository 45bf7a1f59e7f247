"""Which tables a grid has beyond the main ones, such as `ablation`.

A grid has its own where its methods and settings allow the comparison; where they do not, it
shows those that its companions have committed. Imports nothing heavy: every start of Snakemake
asks.
"""

from pathlib import Path

from pipeline.config.expand import switched_method, switched_setting
from pipeline.config.schema import Params
from pipeline.config.titles import tuned

EXTRAS = ("ablation", "horizons", "early_stopping", "choices")
FIGURES = ("ablation", "horizons")  # those that have a figure
LONG_FAMILIES = ("cosmixture", "alpine")  # whose settings are asked for longer training
EARLY = "-early"  # ends the label of a method that gives each task its own horizon


def extra_tables(params: Params, root: Path = Path()) -> list[str]:
    """Names of those that `build-tables` will write for the active grid."""
    shown = set(_own(params))
    for companion in params.active.companions:
        folder = root / "results" / companion / "tables"
        shown |= {name for name in EXTRAS if (folder / f"{name}.csv").is_file()}
    return [name for name in EXTRAS if name in shown]


def extra_inputs(params: Params, root: Path = Path()) -> list[str]:
    """Committed files of companions from which they are made."""
    folders = [root / "results" / companion for companion in params.active.companions]
    bases = [found[0] for s in params.active.settings if (found := switched_setting(s))]
    wanted = [folder / "tables" / f"{name}.csv" for folder in folders for name in EXTRAS]
    wanted += [folder / "evidence" / f"{b}.parquet" for folder in folders for b in sorted({*bases})]
    return [file.as_posix() for file in wanted if file.is_file()]


def _own(params: Params) -> list[str]:
    grid = params.active
    varied = [found[0] in grid.methods for m in grid.methods if (found := switched_method(m))]
    own = []
    if any(varied) or any(switched_setting(setting) for setting in grid.settings):
        own.append("ablation")
    horizons: dict[tuple[str, int, int], set[int]] = {}
    for name in grid.settings:
        given = params.settings[name]
        if given.dataset in LONG_FAMILIES:
            key = (given.dataset, given.support, given.query)
            horizons.setdefault(key, set()).add(params.grid_inner_steps(name))
    if any(len(steps) > 1 for steps in horizons.values()):
        own.append("horizons")
        early = [m for m in grid.methods if m.endswith(EARLY)]
        if any(m.removesuffix(EARLY) in grid.methods for m in early):
            own.append("early_stopping")
    candidates = [of[0] for method in grid.methods if (of := tuned(method))]
    if any(method in grid.methods for method in candidates):
        own.append("choices")
    return own

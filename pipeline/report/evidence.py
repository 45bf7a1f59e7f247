"""What a table's row was made from: runs, or records of measurements that are no runs.

What is known of a run stands in its `metrics.json` and `spec.json`; of runs that are not here
(a clone without `dvc pull`), only what `tables/per_seed.csv` repeats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.titles import TRIVIAL, UNTRAINED, label_order, setting_order
from pipeline.errors import BadInput
from pipeline.report.grid_tables import Values, read_table
from pipeline.runs.recipe import digest
from pipeline.seals import Damaged, read_sealed

# columns of a row that may name a method
LABEL_COLUMNS = ("label", "method", "other", "reference", "released", "fixed")
SETTING_COLUMNS = ("setting", "shorter_setting", "released")
GRID_COLUMNS = ("grid", "grid_ours")
EVERY = "all"  # stands for the setting of a row over all of them

# Tables, and columns of others, that no run is behind -> the record below results/{grid}.
RECORDS = {
    "costs": "profile/{label}.json",
    "stability": "studies/stability.json",
    "stiffness": "studies/stability.json",
    "fidelity": "studies/fidelity.json",
    "noise": "studies/noise.json",
}
_COLUMN_RECORDS = {
    ("equal_cost", "peak_bytes"): RECORDS["costs"],
    ("equal_cost", "cost_steps"): RECORDS["costs"],
}


@dataclass(frozen=True)
class Run:
    """One run behind a table; "" is what is not known here.

    Attributes:
        label, setting, seed: its names.
        values: its row of `per_seed.csv`.
        directory: its folder, `results/{grid}/runs/{label}/{setting}/{seed}`.
        here: whether that folder holds a record.
        restored: made again from `results/{grid}/evidence/`, not by training in this folder.
        recipe: digest of `spec.json`.
        fingerprint: of its data.
        settings: keyword settings of the method.
        network: what is trained, and a loss that is not squared.
    """

    label: str
    setting: str
    seed: int
    values: Values
    directory: Path
    here: bool = False
    restored: bool = False
    recipe: str = ""
    fingerprint: str = ""
    settings: Mapping[str, Any] | None = None
    network: str = ""

    @property
    def dataset(self) -> str:
        return self.values["dataset"]

    @property
    def name(self) -> str:
        """Its name in MLflow, and that of its folder below `runs/`."""
        return f"{self.label}/{self.setting}/{self.seed}"

    @property
    def results_dir(self) -> Path:
        """`results/{grid}` of its grid."""
        return self.directory.parents[3]

    @property
    def state(self) -> str:
        """Where its record is."""
        if not self.here:
            return "not here"
        return "restored from evidence" if self.restored else "here"


def read_runs(results_dir: Path) -> list[Run]:
    """The runs that `per_seed.csv` of `results/{grid}` lists, in canonical order.

    Raises:
        BadInput: when the table or a run's record cannot be read.
    """
    runs = [_read(results_dir, row) for row in read_table(results_dir, "per_seed").rows]
    return sorted(
        runs, key=lambda r: (setting_order(r.dataset, r.setting), label_order(r.label), r.seed)
    )


def _read(results_dir: Path, row: Values) -> Run:
    names = row["label"], row["setting"], int(row["seed"])
    directory = results_dir.joinpath("runs", *map(str, names))
    if not (directory / "spec.json").is_file():
        return Run(*names, row, directory)
    try:
        metrics, spec = (read_sealed(directory / f"{name}.json") for name in ("metrics", "spec"))
        return Run(
            *names,
            row,
            directory,
            here=True,
            restored=bool(metrics.get("restored")),
            recipe=digest(spec),
            fingerprint=(metrics.get("data") or {}).get("fingerprint") or "",
            settings=spec.get("settings"),
            network=_network(spec),
        )
    except Damaged:
        raise
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{directory}: unreadable run record ({error}); needed the metrics.json and spec.json "
            "that `meta-train` wrote. Delete the folder and run `snakemake` again."
        ) from error


def row_grids(results_dir: Path, row: Mapping[str, str]) -> list[Path]:
    """Folders of the grids that a row of a table of `results_dir` names; else that one."""
    own = results_dir.resolve().name
    named = dict.fromkeys(row[column] for column in GRID_COLUMNS if row.get(column))
    return [results_dir if grid == own else results_dir.parent / grid for grid in named or [own]]


def _network(spec: Mapping[str, Any]) -> str:
    """`MLP 40, 40`, or a person's own module with its arguments."""
    if own := spec.get("model"):
        arguments = ", ".join(f"{name}={value}" for name, value in own["arguments"].items())
        told = f"{own['module']}({arguments})"
    else:
        told = f"MLP {', '.join(map(str, spec.get('hidden', [])))}"
    loss = spec.get("loss", "squared")
    named = loss["function"] if isinstance(loss, Mapping) else loss
    return told if named == "squared" else f"{told}, loss {named}"


def read_runs_behind(results_dir: Path, row: Mapping[str, str]) -> list[Run]:
    """The runs that a row was computed from, in whichever grids they are.

    Raises:
        BadInput: when a grid's `per_seed.csv` or a record is missing or cannot be read.
    """
    found = []
    for folder in row_grids(results_dir, row):
        named = dict(row)
        if folder.resolve().name == row.get("grid_ours") != row.get("grid"):
            named.pop("released", None)  # runs of ours are from there, of the variant not
        found += runs_behind(named, read_runs(folder))
    return found


def runs_behind(row: Mapping[str, str], runs: list[Run]) -> list[Run]:
    """Those of `runs` that a table's row was computed from, by the columns that name them.

    A row names settings (or a data set), methods, a seed, or nothing of these: then each is
    behind it. The untrained start and trivial predictors are alike in all runs of a setting and
    seed: the first method's stand for them.
    """
    picked = runs
    settings = {row[column] for column in SETTING_COLUMNS if row.get(column)} - {EVERY}
    if settings:
        picked = [run for run in picked if run.setting in settings]
    elif row.get("dataset"):
        picked = [run for run in picked if run.dataset == row["dataset"]]
    if row.get("seed", "").isdecimal():
        picked = [run for run in picked if run.seed == int(row["seed"])]
    named = {row[column] for column in LABEL_COLUMNS if row.get(column)}
    labels = {run.label for run in runs} & named
    if labels:
        picked = [run for run in picked if run.label in labels]
    elif named & {UNTRAINED, *TRIVIAL} and picked:
        first = min((run.label for run in picked), key=label_order)
        picked = [run for run in picked if run.label == first]
    return picked


def evidence_file(results_dir: Path, setting: str) -> Path | None:
    """The committed per-task rows of a setting's runs, where there are any."""
    path = results_dir / "evidence" / f"{setting}.parquet"
    return path if path.is_file() else None


def run_commands(run: Run) -> list[str]:
    """The command that makes a run and all it needs anew, and that of the training by itself.

    A job keeps finished records of its block of seeds, so that the folder has to go first.
    """
    folder, grid = run.directory.as_posix(), run.results_dir.resolve().name
    remove = f"rm -r {folder} && " if run.here else ""
    files = f"data/tasks/{run.dataset}.parquet data/episodes/{run.setting}/{run.seed}.parquet"
    recipe = (
        f"--spec @{folder}/spec.json"
        if run.here
        else f"--method {run.label} --setting {run.setting} --seed {run.seed}"
    )
    return [
        f"{remove}snakemake train_all --cores 1 --resources gpu=1 --config grid={grid}",
        f"python -m pipeline meta-train {files} {folder} {recipe}",
    ]


def record_files(
    results_dir: Path, table: str, row: Mapping[str, str], column: str = ""
) -> list[Path]:
    """The records that a cell (or row) was read from; [] where runs are behind it.

    Args:
        results_dir: `results/{grid}` of the table; a row that names another grid is from there.
        table, row, column: the cell.
    """
    if row.get("record"):  # a measurement that names its own
        return [results_dir / part for part in row["record"].split()]
    pattern = RECORDS.get(table) or _COLUMN_RECORDS.get((table, column))
    return [row_grids(results_dir, row)[0] / pattern.format_map(row)] if pattern else []


def remake_command(path: Path, grid: str) -> str:
    """The command that makes a table or record of a grid anew."""
    return f"snakemake {path.as_posix()} --cores 1 --force --config grid={grid}"

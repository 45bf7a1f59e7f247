"""The only schema of `params.yaml`: types, bounds, and combinations that cannot work.

`load_params` reads a file, `check_params` a mapping (Snakemake's `config`); both return
`Params` or raise `BadInput` naming each key, the value found and what is allowed. The JSON
Schema that Snakemake validates with is generated from here (`python -m pipeline schema`).
What an entry of `methods` may hold is said by the card of its method.
"""

import re
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, create_model

from pipeline.config.card import (
    MOST,
    Aggregate,
    Count,
    Hidden,
    Keep,
    MethodCard,
    MethodSettings,
    Name,
    NotNegative,
    OuterOptimiser,
    Positive,
    Seed,
    Strict,
)
from pipeline.config.checks import combination_faults
from pipeline.config.grids import Grid, GridFile, Setting, expanded, grid_file
from pipeline.config.load import read_config
from pipeline.config.messages import explain, not_among
from pipeline.config.methods import METHODS
from pipeline.config.own_data import OwnData, OwnModel, TableEntry
from pipeline.config.predictors import PREDICTORS, kind_of
from pipeline.config.variants import Variant
from pipeline.data.families import FAMILIES
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput

# Sections of `params.yaml` that say what data and network there are, and bounds all share.

Steps = Annotated[list[Annotated[int, Field(ge=0, le=MOST)]], Field(min_length=1)]


DEFAULT_STORE = "sqlite:///mlflow.db"  # which a plain `mlflow ui` opens
Capture = Literal["auto", "never"]  # of inner training as CUDA graphs


_STORE = "^(sqlite:///.|https?://.)"


def store_address(uri: str) -> str:
    """The address of an MLflow store, as it may stand in params, records and logs.

    Raises:
        ValueError: when it is none, or says who may use it.
    """
    if not re.match(_STORE, uri):
        raise ValueError(
            f"found '{uri}', needed sqlite:///FILE or the http:// address of an MLflow server. "
            f"The default is {DEFAULT_STORE}."
        )
    if "@" in urlsplit(uri).netloc:
        raise ValueError(
            "found an address with a user name or a password, which records and logs would keep; "
            "needed one without. MLflow reads MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD from the environment."
        )
    return uri


class Tracking(Strict):
    uri: Annotated[str, AfterValidator(store_address)] = Field(
        default=DEFAULT_STORE,
        description="MLflow store: sqlite:///FILE, or the http address of a server",
        json_schema_extra={"pattern": _STORE},
    )
    live: bool = Field(default=True, description="log runs while they train")


class Data(Strict):
    raw_dir: str = Field(description="folder of archives put there by hand, used before downloads")
    items: Count = Field(description="most-rated items kept")
    min_ratings: Count = Field(description="ratings of the kept items that make a user a task")
    test_tasks: Count = Field(description="meta-test tasks held out of rating data, per seed")
    validation_tasks: Count = Field(description="meta-training tasks set aside for choices")
    retries: Count = Field(default=3, description="tries per download address")
    timeout_s: Positive = Field(
        default=30.0, description="seconds without an answer that end a try"
    )
    allow_unverified_tls: bool = Field(
        default=False,
        description="try addresses whose certificate cannot be verified, after all others; the "
        "content is judged all the same",
    )


class Synthetic(Strict):
    seeds: Count = Field(description="seeds 0..seeds-1 are drawn into the task set")
    train_tasks: Count
    test_tasks: Count
    points: Count = Field(description="points per task")
    evaluation_points: Count = Field(description="query points of a test task")


class Simulated(Strict):
    seed: Seed
    users: Annotated[int, Field(ge=50, le=MOST)]
    items: Annotated[int, Field(ge=30, le=MOST)]
    rank: Count


class Model(Strict):
    synthetic: Hidden
    ratings: Hidden


class Training(Strict):
    inner_lr: Positive = Field(description="alpha of inner gradient descent")
    outer_optimiser: OuterOptimiser = Field(description="sgd: a plain gradient step")
    outer_lr: Positive = Field(description="learning rate of the outer optimiser")
    meta_batch: Count = Field(description="tasks per meta-update")
    meta_updates: Count
    aggregate: Aggregate = Field(
        default="mean",
        description="how tasks' meta-gradients become one: unit divides each by its norm, clip "
        "shortens those above the meta-batch's median norm",
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="of outer_lr over the meta-updates; cosine ends at 0"
    )
    warm_up: Annotated[int, Field(ge=0, le=MOST)] = Field(
        default=0, description="meta-updates over which outer_lr rises from 0"
    )
    weight_decay: NotNegative = Field(
        default=0.0, description="of the outer optimiser; with adamw apart from the gradient"
    )
    average: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="decay of theta's moving average, validated beside theta"
    )
    keep: Keep = Field(
        default="last",
        description="the initialisation of the record: theta or its average at the end, or the "
        "one of both with the least validation error so far",
    )
    patience: Count | None = Field(
        default=None, description="validations without a new best that end training; null: none"
    )
    stop_change: NotNegative = Field(
        default=0.0, description="xi of Algorithm 1; 0 switches it off"
    )
    checkpoint_every: Count = Field(default=100, description="meta-updates between checkpoints")
    validate_every: Count = Field(default=100, description="meta-updates between validations")
    gradient_limit: Positive = Field(
        default=1e8, description="meta-gradient norm that counts as divergence"
    )
    ledger_every: Count | None = Field(
        description="meta-updates between measurements of the meta-gradient's fidelity; null: none"
    )


# What a recipe leaves out where it has the usual value: runs from before there was a choice keep
# their recipes.
USUAL_TRAINING: dict[str, Any] = {
    name: Training.model_fields[name].default
    for name in (
        *("aggregate", "schedule", "warm_up", "weight_decay", "average", "keep", "patience"),
    )
}


class Evaluation(Strict):
    optimiser: Literal["gd", "adam"]
    learning_rate: Positive
    steps: Steps = Field(description="meta-test training steps at which errors are measured")


def _with_its_name(card: MethodCard) -> type[MethodSettings]:
    """The settings of a card, told from others by `method`."""
    name = "".join(part.capitalize() for part in card.name.split("_"))
    kind: Any = Literal[card.name]
    return create_model(name, __base__=card.settings, method=(kind, ...))


_every_method = reduce(or_, map(_with_its_name, METHODS.values()))
if TYPE_CHECKING:
    AnyMethod = MethodSettings
else:
    AnyMethod = Annotated[_every_method, Field(discriminator="method")]


class ParamsFile(Strict):
    """What `params.yaml` holds."""

    grid: str = Field(description="name of a file of grids/, without .yaml")
    device: Literal["auto", "cuda", "cpu"]
    capture: Capture = Field(
        default="auto",
        description="repeat inner training as CUDA graphs where that is possible, or never",
    )
    dtype: Literal["float32", "float64"]
    raw_dir: str | None = Field(default=None, description="replaces data.raw_dir (--config)")
    tracking: Tracking = Tracking()
    data: Data
    datasets: dict[Name, OwnData] = Field(default={}, description="data of one's own, by name")
    models: dict[Name, OwnModel] = Field(default={}, description="torch modules of one's own")
    synthetic: Synthetic
    simulated: Simulated
    model: Model
    training: Training
    evaluation: Evaluation
    methods: dict[Name, AnyMethod]


class Params(ParamsFile):
    """All parameters; `grid_*` give the values in force for the grid that is named.

    Attributes:
        methods, settings: those of the files, and those that the grids make of them, by name.
    """

    settings: dict[str, Setting]
    grids: dict[str, Grid]

    @property
    def active(self) -> Grid:
        return self.grids[self.grid]

    def kind_of(self, dataset: str) -> Literal["ratings", "table", "synthetic"]:
        """What a task of a data set is: a user's ratings, rows of a table, a function."""
        if dataset in FAMILIES:
            return "synthetic"
        return "table" if isinstance(self.datasets.get(dataset), TableEntry) else "ratings"

    def role_tasks(self, dataset: str) -> dict[str, int]:
        """`test_tasks` and `validation_tasks` of a data set: its own, or those of `data`."""
        own = self.datasets.get(dataset)
        return {
            name: getattr(own, name, None) or getattr(self.data, name)
            for name in ("test_tasks", "validation_tasks")
        }

    def network_of(self, dataset: str) -> OwnModel | list[int]:
        """A person's own module, or the hidden widths of an MLP."""
        own = getattr(self.datasets.get(dataset), "model", None)
        if isinstance(own, str):
            return self.models[own]
        usual = self.model.ratings if self.kind_of(dataset) == "ratings" else self.model.synthetic
        return own or usual

    def loss_of(self, dataset: str) -> str:
        """A loss by name, or the import path of a person's own function."""
        return getattr(self.datasets.get(dataset), "loss", "squared")

    def predictors_of(self, dataset: str) -> list[str]:
        """Those that the active grid asks for and that predict such data, in order of name."""
        return sorted(name for name in self.active.predictors if self.predicts(name, dataset))

    def predicts(self, predictor: str, dataset: str) -> bool:
        """Whether a predictor is of the kind of a data set."""
        ratings = self.kind_of(dataset) == "ratings"
        return kind_of(ratings=ratings, loss=self.loss_of(dataset)) in PREDICTORS[predictor].of

    def has_archive(self, dataset: str) -> bool:
        """Whether it comes from an archive with ratings: it has a card in data/sets/."""
        return dataset in SOURCES

    def variants(self) -> dict[str, Variant]:
        """What names of the active grid, and of companions that it is shown with, vary."""
        grids = [self.grids[name] for name in (*self.active.companions, self.grid)]
        return {name: of for grid in grids for name, of in sorted(grid.variants.items())}

    def grid_training(self) -> Training:
        """`training` with the active grid's replacements."""
        return Training.model_validate(self.training.model_dump() | self.active.training)

    def method_training(self, label: str, setting: str | None = None) -> dict[str, Any]:
        """`grid_training` with what an entry of `methods`, and one of a setting, has for itself."""
        own = self.methods[label].training.model_dump(exclude_none=True)
        if setting is not None:
            there = self.active.own_training.get(setting, {})
            own |= there[label].model_dump(exclude_none=True) if label in there else {}
            own |= self.active.own_loop.get(setting, {})
        return self.grid_training().model_dump() | own

    def grid_evaluation(self) -> Evaluation:
        """`evaluation` with the active grid's replacements."""
        return Evaluation.model_validate(self.evaluation.model_dump() | self.active.evaluation)

    def method_evaluation(self, label: str) -> dict[str, Any]:
        """`grid_evaluation` with what an entry of `methods` has for itself."""
        own = self.methods[label].evaluation.model_dump(exclude_none=True)
        return self.grid_evaluation().model_dump() | own

    def grid_inner_steps(self, setting: str) -> int:
        """K of a setting in the active grid."""
        return self.active.inner_steps or self.settings[setting].inner_steps


def check_params(raw: Mapping[str, Any], *, where: str = "params.yaml") -> Params:
    """Validate the mapping of a parameter file, with the files of grids/ by name under `grids`.

    Args:
        where: the parameter file, for messages.

    Raises:
        BadInput: with one line per fault: file, key, value found, what is allowed.
    """
    given = dict(raw)
    grids = given.pop("grids", {})
    faults: list[str] = []
    file = _parsed(ParamsFile, with_methods_named(given), where, faults)
    files = {
        name: _parsed(GridFile, found, grid_file(where, name), faults)
        for name, found in grids.items()
    }
    if file is None or faults:
        raise BadInput("\n".join(faults))
    sound = {name: found for name, found in files.items() if found is not None}
    done = expanded(file.methods, sound, params_file=where, own=file.datasets)
    own = {name: getattr(file, name) for name in ParamsFile.model_fields}
    every = {"methods": done.methods, "settings": done.settings, "grids": done.grids}
    params = Params.model_construct(**own | every)
    if faults := done.faults or combination_faults(params, where):
        raise BadInput("\n".join(faults))
    return params


Parsed = TypeVar("Parsed", bound=Strict)


def _parsed(kind: type[Parsed], found: Any, where: str, faults: list[str]) -> Parsed | None:
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        faults += [f"{where}: {line}" for line in explain(error, kind)]
        return None


def with_methods_named(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of `methods` with `method: LABEL` where they name no other method."""
    methods = raw.get("methods")
    if not isinstance(methods, Mapping):
        return dict(raw)
    return dict(raw) | {
        "methods": {
            label: {"method": label} | dict(given) if isinstance(given, Mapping) else given
            for label, given in methods.items()
        }
    }


def on_grid(params: Params, grid: str | None) -> Params:
    """The parameters with another grid active; None: as they are.

    Raises:
        BadInput: when the grid is unknown, naming those that there are and the nearest.
    """
    if grid is None:
        return params
    if grid not in params.grids:
        raise BadInput(f"--grid: {not_among(grid, params.grids, 'no file of grids/')}")
    return params.model_copy(update={"grid": grid})


def load_params(path: Path, overrides: Mapping[str, Any] | None = None) -> Params:
    """Read and validate a parameter file and the files of grids/ beside it.

    Args:
        overrides: values in the place of the file's (Snakemake's `--config`).

    Raises:
        BadInput: when it is missing, not YAML, has a key twice, or `check_params` refuses it.
    """
    return check_params(read_config(path, overrides), where=path.as_posix())

"""The only schema of `params.yaml`: types, bounds, and combinations that cannot work.

`load_params` reads a file, `check_params` a mapping (Snakemake's `config`); both return
`Params` or raise `BadInput` naming each key, the value found and what is allowed. The JSON
Schema that Snakemake validates with is generated from here (`python -m pipeline schema`).
A new method is one class below, in `MethodSettings`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline.config.checks import combination_faults
from pipeline.config.expand import (
    AmamlVariant,
    ImamlVariant,
    Strict,
    VariedMethod,
    VariedSetting,
    filled_in,
)
from pipeline.config.load import read_mapping
from pipeline.config.messages import explain
from pipeline.config.studies import Studies
from pipeline.errors import BadInput

# Sections of `params.yaml` that say what data and network there are, and bounds all share.

Dataset = Literal[
    "ml-100k",
    "ml-1m",
    "ml-latest-small-2016",
    "jester-1",
    "simulated",
    "cosmixture",
    "alpine",
    "cosmixture-released",
    "alpine-released",
]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of a folder")]
Steps = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Data(Strict):
    raw_dir: str = Field(description="folder of archives put there by hand, used before downloads")
    items: Count = Field(description="most-rated items kept")
    min_ratings: Count = Field(description="ratings of the kept items that make a user a task")
    test_tasks: Count = Field(description="meta-test tasks held out of rating data, per seed")
    validation_tasks: Count = Field(description="meta-training tasks set aside for choices")
    retries: Count = Field(description="tries per download address")
    timeout_s: Positive = Field(description="seconds without an answer that end a try")


class Synthetic(Strict):
    seeds: Count = Field(description="seeds 0..seeds-1 are drawn into the task set")
    train_tasks: Count
    test_tasks: Count
    points: Count = Field(description="points per task")
    evaluation_points: Count = Field(description="query points of a test task")


class Simulated(Strict):
    seed: Annotated[int, Field(ge=0)]
    users: Annotated[int, Field(ge=50)]
    items: Annotated[int, Field(ge=30)]
    rank: Count


class Model(Strict):
    synthetic: Annotated[list[Count], Field(min_length=1)]
    ratings: Annotated[list[Count], Field(min_length=1)]


RATING_DATASETS = ("ml-100k", "ml-1m", "ml-latest-small-2016", "jester-1", "simulated")
SYNTHETIC_DATASETS = ("cosmixture", "alpine", "cosmixture-released", "alpine-released")
Solver = Literal["euler", "midpoint", "rk4", "dopri5", "bosh3"]


class Training(Strict):
    inner_lr: Positive = Field(description="alpha of inner gradient descent")
    outer_optimiser: Literal["adam", "sgd"] = Field(description="sgd: a plain gradient step")
    outer_lr: Positive = Field(description="learning rate of the outer optimiser")
    meta_batch: Count = Field(description="tasks per meta-update")
    meta_updates: Count
    stop_change: NotNegative = Field(description="xi of Algorithm 1; 0 switches it off")
    checkpoint_every: Count = Field(description="meta-updates between checkpoints")
    validate_every: Count = Field(description="meta-updates between validations")
    gradient_limit: Positive = Field(description="meta-gradient norm that counts as divergence")
    ledger_every: Count | None = Field(
        description="meta-updates between measurements of the meta-gradient's fidelity; null: none"
    )


class Evaluation(Strict):
    optimiser: Literal["gd", "adam"]
    learning_rate: Positive
    steps: Steps = Field(description="meta-test training steps at which errors are measured")


class Maml(VariedMethod):
    method: Literal["maml"]
    steps_divisor: Count = Field(description="K / steps_divisor steps are unrolled")


Memory = Annotated[
    Positive | None,
    Field(
        description="10^6 bytes kept for the way back, the rest is computed again; null: by size"
    ),
]


class Plain(VariedMethod):
    method: Literal["maml1", "fomaml", "reptile"]


class MamlSweep(VariedMethod):
    method: Literal["maml_sweep"]
    memory_mb: Memory


class Imaml(VariedMethod):
    method: Literal["imaml"]
    proximal: Positive = Field(description="lambda of the proximal term")
    cg_steps: Count = Field(description="conjugate-gradient steps")
    cg_regulariser: NotNegative = Field(default=0.0, description="rho of (1 + rho) I in the system")
    cg_damping: NotNegative = Field(default=0.0, description="delta of H/(lambda + delta) in it")
    variant: ImamlVariant = ImamlVariant()


class Amaml(VariedMethod):
    method: Literal["amaml"]
    solver: Solver
    step: Positive = Field(description="spacing of kept states in flow time")
    rtol: Positive
    atol: Positive
    backward: Literal["modified_euler", "discrete", "backsolve", "euler", "released"]
    omega: Annotated[float, Field(ge=0, le=1)] = Field(description="weight of the running cost")
    regulariser: NotNegative = Field(description="mu of mu/2 |u - theta|^2 in the inner loss")
    outer_regulariser: NotNegative = Field(
        default=0.0, description="nu of nu/2 |u(T) - theta|^2 in the outer loss"
    )
    memory_mb: Memory
    variant: AmamlVariant = AmamlVariant()

    @model_validator(mode="after")
    def _running_cost_needs_its_way_back(self) -> "Amaml":
        if self.backward == "backsolve" and self.omega > 0:
            raise ValueError(
                f"omega is {self.omega}, but `backsolve` keeps no states for a running cost; "
                "set omega: 0.0 or backward: modified_euler"
            )
        if self.backward == "released" and self.omega > 0:
            raise ValueError(
                f"omega is {self.omega}, but the `released` way back has no running cost; "
                "set omega: 0.0 or backward: euler"
            )
        return self


class AmamlRkc(VariedMethod):
    method: Literal["amaml_rkc", "amaml_anytime"]
    rtol: Positive
    atol: Positive
    omega: Annotated[float, Field(ge=0, le=1)] = Field(description="weight of the running cost")
    regulariser: NotNegative = Field(description="mu of mu/2 |u - theta|^2 in the inner loss")
    memory_mb: Memory
    early_stopping: bool = Field(
        default=False, description="each task trains until its query loss is least, at most to T"
    )


MethodSettings = Annotated[
    Maml | Plain | MamlSweep | Imaml | Amaml | AmamlRkc, Field(discriminator="method")
]


class Setting(VariedSetting):
    dataset: Dataset
    support: Count = Field(description="support rows per task (shots)")
    query: Count = Field(description="query rows per task in meta-training")
    inner_steps: Count = Field(description="K")
    standardise: bool = Field(default=True, description="scale by meta-training statistics")
    scaling: Literal["meta_train", "all"] = Field(
        default="meta_train", description="rows of the statistics; all: held-out tasks leak in"
    )
    min_ratings: Count | None = Field(
        default=None, description="rows of a rating task; null: data.min_ratings"
    )

    @model_validator(mode="after")
    def _fits_its_data(self) -> "Setting":
        if self.variant.family == "released" and not self.is_synthetic:
            raise ValueError(
                f"variant.family is released, but {self.dataset} is no synthetic family; "
                "leave it out"
            )
        if self.min_ratings is not None and self.is_synthetic:
            raise ValueError(
                f"min_ratings is {self.min_ratings}, but {self.dataset} has no ratings; "
                "leave min_ratings and variant.threshold out"
            )
        return self

    @property
    def is_synthetic(self) -> bool:
        return self.dataset in SYNTHETIC_DATASETS


class Profile(Strict):
    inner_steps: Annotated[list[Count], Field(min_length=1)]
    repeats: Count = Field(description="timed meta-updates; the median is reported")


class Grid(Strict):
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    settings: Annotated[list[str], Field(min_length=1)]
    seeds_per_job: Count = Field(
        default=1, description="seeds of a method and setting that one job trains together"
    )
    keep_evidence: bool = Field(
        default=False, description="runs are kept as small files for git, and restored from them"
    )
    training: dict[str, Any] = Field(default={}, description="replaces values of `training`")
    evaluation: dict[str, Any] = Field(default={}, description="replaces values of `evaluation`")
    inner_steps: Count | None = Field(default=None, description="replaces each setting's own")
    companions: list[str] = Field(
        default=[], description="grids whose committed tables are shown beside this one's"
    )
    profile: Profile
    studies: Studies = Field(default=Studies(), description="studies of the meta-gradients")


class Params(Strict):
    """All parameters; `grid_*` give the values in force for the grid that is named."""

    grid: str
    device: Literal["auto", "cuda", "cpu"]
    dtype: Literal["float32", "float64"]
    raw_dir: str | None = Field(default=None, description="replaces data.raw_dir (--config)")
    data: Data
    synthetic: Synthetic
    simulated: Simulated
    model: Model
    training: Training
    evaluation: Evaluation
    methods: dict[Name, MethodSettings]
    settings: dict[Name, Setting]
    grids: dict[Name, Grid]

    @property
    def active(self) -> Grid:
        return self.grids[self.grid]

    def grid_training(self) -> Training:
        """`training` with the active grid's replacements."""
        return Training.model_validate(self.training.model_dump() | self.active.training)

    def method_training(self, label: str) -> dict[str, Any]:
        """`grid_training` with what an entry of `methods` has for itself."""
        own = self.methods[label].training.model_dump(exclude_none=True)
        return self.grid_training().model_dump() | own

    def grid_evaluation(self) -> Evaluation:
        """`evaluation` with the active grid's replacements."""
        return Evaluation.model_validate(self.evaluation.model_dump() | self.active.evaluation)

    def grid_inner_steps(self, setting: str) -> int:
        """K of a setting in the active grid."""
        return self.active.inner_steps or self.settings[setting].inner_steps


def check_params(raw: Mapping[str, Any], *, where: str = "params.yaml") -> Params:
    """Validate a mapping in the form of `params.yaml`.

    Raises:
        BadInput: with one line per fault: key, value found, what is allowed.
    """
    filled, faults = filled_in(raw)
    if faults:
        raise BadInput(f"{where}: " + "\n".join(faults))
    try:
        params = Params.model_validate(filled)
    except ValidationError as error:
        raise BadInput(f"{where}: " + "\n".join(explain(error, Params))) from None
    if faults := combination_faults(params):
        raise BadInput(f"{where}: " + "\n".join(faults))
    return params


def load_params(path: Path) -> Params:
    """Read and validate a parameter file.

    Raises:
        BadInput: when it is missing, not YAML, has a key twice, or `check_params` refuses it.
    """
    return check_params(read_mapping(path), where=str(path))

"""Cards of the studies that a grid may hold (`grids.X.studies` of params.yaml)."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from pipeline.config.card import MOST, Count, Positive, Seed, Strict
from pipeline.config.messages import not_among
from pipeline.data.families import PRINTED

Value = TypeVar("Value")


def _each_once(values: list[Value]) -> list[Value]:
    if len(set(values)) != len(values):
        raise ValueError(f"found {values}, each may stand there once")
    return values


def _printed(family: str) -> str:
    if family not in PRINTED:
        raise ValueError(not_among(family, PRINTED, "no synthetic family"))
    return family


Families = Annotated[
    list[Annotated[str, AfterValidator(_printed)]], Field(min_length=1), AfterValidator(_each_once)
]
_Numbers = Annotated[list[Positive], Field(min_length=1), AfterValidator(_each_once)]
_Counts = Annotated[list[Count], Field(min_length=1), AfterValidator(_each_once)]


class Study(Strict):
    """What all studies work on."""

    seed: Seed = Field(default=0, description="of tasks and theta")
    families: Families = Field(description="synthetic families, standardised")
    support: Count = Field(default=50, description="support rows per task")
    query: Count = Field(default=50, description="query rows per task")
    training_updates: Count = Field(
        description="meta-updates of the short training that makes the second initialisation"
    )
    training_steps: Count = Field(default=200, description="K of that training")


class Stiffness(Strict):
    inner_steps: _Counts = Field(description="K")
    scales: _Numbers = Field(description="factors on standardised inputs, which raise curvature")


class StabilityStudy(Study):
    inner_steps: _Counts = Field(description="K at which meta-gradients are compared")
    stiffness: Stiffness = Field(description="RK45 against Chebyshev steps as curvature grows")


class MethodStudy(Study):
    """Every method at every K."""

    methods: Annotated[list[str], Field(min_length=1), AfterValidator(_each_once)] = Field(
        description="names under `methods`"
    )
    inner_steps: _Counts = Field(description="K; a truth is that of the flow over alpha K")


class FidelityStudy(MethodStudy):
    batches: Count = Field(description="probe batches; the median is reported")


class NoiseStudy(MethodStudy):
    batches: Annotated[int, Field(ge=2, le=MOST)] = Field(
        description="meta-batches whose directions are compared"
    )


@dataclass(frozen=True)
class StudyCard:
    """One study, `results/{grid}/studies/{name}.json`.

    Attributes:
        settings: what params.yaml says of it.
        module, function: what does it, `function(recipe, out, threads=...)`.
        about: what its command does, in a line.
        tables: what its record is made into.
    """

    settings: type[Study]
    module: str
    function: str
    about: str
    tables: tuple[str, ...]


STUDIES = {
    "stability": StudyCard(
        StabilityStudy,
        "pipeline.studies.stability",
        "study_stability",
        "Ways back over growing horizons, and solvers as curvature grows, against the truth.",
        ("stability", "stiffness"),
    ),
    "fidelity": StudyCard(
        FidelityStudy,
        "pipeline.studies.fidelity",
        "study_fidelity",
        "Every method's meta-gradient against the converged one, as the horizon grows.",
        ("fidelity",),
    ),
    "noise": StudyCard(
        NoiseStudy,
        "pipeline.studies.noise",
        "study_noise",
        "How far every method's direction agrees from one meta-batch to the next.",
        ("noise",),
    ),
}


class Studies(Strict):
    """Each makes `results/{grid}/studies/{name}.json`."""

    stability: StabilityStudy | None = None
    fidelity: FidelityStudy | None = None
    noise: NoiseStudy | None = None

    @property
    def names(self) -> list[str]:
        """Those that are asked for."""
        return [name for name in STUDIES if getattr(self, name) is not None]


# What tables, figures and texts of a study say alike.

NO_REFERENCE = "no reference"  # status of what was solved, but cannot be judged
WRONG = 1.0  # relative error of a meta-gradient as large as the gradient itself
STIFF = 30.0  # mean rho times T above which RK45's steps are limited by stability
SOLVER_TITLES = {"dopri5": "RK45", "rkc": "Chebyshev"}

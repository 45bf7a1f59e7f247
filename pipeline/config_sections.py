"""Sections of `params.yaml` that say what data and network there are, and bounds all share."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config_variants import Strict

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

"""Every job of a grid, by rule and name, with where its log lies, and whether it is done."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.jobs.look import Look, jobs_left, look
from pipeline.runs.recipe import Recipe

RULE_OF = {  # a recipe's kind, in the order of the workflow
    "archive": "download",
    "ratings": "build_ratings",
    "tasks": "build_tasks",
    "episodes": "freeze_episodes",
    "offsets": "fit_offsets",
    "reference": "build_reference",
    "run": "meta_train",
    "profile": "profile_cost",
    "study": "run_study",
    "tables": "build_tables",
    "figures": "plot_curves",
    "report": "build_report",
    "tracking": "log_tracking",
}
RULES = tuple(RULE_OF.values())
_SEEDED = ("episodes", "offsets", "reference", "run")  # kinds of which each seed has its own


@dataclass(frozen=True)
class Job:
    """One job that Snakemake has for a grid.

    Attributes:
        rule: its rule.
        recipes: of what it still has to make (the seeds of a block that have no record yet);
            empty when it is done.
        output: what Snakemake asks for.
        stale: the output is there, made by another recipe or from what is made anew.
        seeds: of the block, or of the one file.
    """

    rule: str
    done: bool
    recipes: tuple[Recipe, ...] = ()
    label: str = ""
    dataset: str = ""
    setting: str = ""
    output: str = ""
    stale: bool = False
    seeds: tuple[int, ...] = ()

    @property
    def log(self) -> str:
        """Where the workflow puts the job's log: as `log:` of its rule says."""
        parts = Path(self.output).with_suffix("").parts
        if parts[0] == "data":
            inner = parts[2:]
        elif self.rule in RULES[RULES.index("build_tables") :]:
            inner = parts[1:2]
        else:
            inner = (parts[1], *parts[3:])
        return f"{Path('logs', self.rule, *inner)}.log"

    @property
    def name(self) -> str:
        """What a person knows it by: method, setting, seeds, or the name of what it makes."""
        if self.rule in RULES[RULES.index("build_tables") :]:
            return ""
        what = [self.label, self.setting or self.dataset]
        if not any(what):  # a file of a setting, or one by itself
            path = Path(self.output)
            what = [path.parent.name if self.seeds else path.stem]
        if self.seeds:
            what += [f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"]
        return " ".join(word for word in what if word)


def grid_jobs(params: Params, root: Path = Path()) -> list[Job]:
    """All jobs of the active grid, in the order of the workflow: `jobs_of` what lies on disk."""
    return jobs_of(look(params, root))


def jobs_of(found: Look) -> list[Job]:
    """All jobs of a grid.

    A job is done when what it makes carries the recipe it should, or when committed evidence
    gives it back. Data that are not there count as done as long as nothing that is left needs
    them. Views of what is left (tables, figures, the report, MLflow) are left as well.
    """
    left = jobs_left(found)
    jobs = []
    for output, group in found.artifacts.items():
        recipe, done = group[0].recipe, output not in left
        kind = recipe["kind"]
        lost = [a.recipe for a in group if a.files[-1] in found.lost and not done]
        lost.sort(key=lambda recipe: recipe.get("seed", 0))
        jobs.append(
            Job(
                RULE_OF[kind],
                done,
                tuple(lost),
                str(recipe.get("label", "")),
                str(recipe.get("dataset", "")),
                str(recipe.get("setting", "")) if kind in _SEEDED else "",
                output,
                output in found.stale and not done,
                tuple(sorted(a.recipe["seed"] for a in group)) if kind in _SEEDED else (),
            )
        )
    return jobs

# Grid expansion and recipes; nothing else. Every number comes from params.yaml (or --config),
# is checked here before any job exists, and reaches its job through the recipe (`spec`).
import shlex
import sys
from pathlib import Path

# the folder that holds pipeline/, so that this checkout's own code is the one used
sys.path.insert(0, str(Path(workflow.basedir).resolve().parent))

from pipeline.runs.recipe import canonical
from pipeline.config.schema import RATING_DATASETS, SYNTHETIC_DATASETS, load_params
from pipeline.config.studies import STUDIES
from pipeline.data.sources import SOURCES
from pipeline.errors import BadInput
from pipeline.jobs import process, recipes
from pipeline.jobs.blocks import seed_blocks
from pipeline.jobs.process import gpu_here
from pipeline.jobs.recipes import study_recipe
from pipeline.jobs.restore import restore_evidence
from pipeline.report.texts import texts_digest
from pipeline.tables.optional import FIGURES, extra_inputs, extra_tables
from pipeline.tables.other_grids import companion_file

try:
    PARAMS = load_params(Path("params.yaml"), config)
except BadInput as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

if workflow.is_main_process and process.join():
    print("Removed the lock of a Snakemake that was killed.", file=sys.stderr)

if workflow.is_main_process and (
    restored := restore_evidence(PARAMS, say=lambda line: print(line, file=sys.stderr))
):
    print(f"Restored {len(restored)} records from evidence.", file=sys.stderr)

GRID = PARAMS.grid
ACTIVE = PARAMS.active
RESULTS = f"results/{GRID}"
RUNS = f"{RESULTS}/runs/{{method}}/{{setting}}"
RUN = f"{RUNS}/{{seed}}"
# blocks of seeds that a job trains together; none where each seed has its own job (train.smk)
BLOCKS = (
    seed_blocks(ACTIVE.seeds, ACTIVE.seeds_per_job) if ACTIVE.seeds_per_job > 1 else {}
)

# `exec`: no shell between Snakemake and the job, which dies with its parent (jobs/process.py)
PYTHON = shlex.quote(str(Path(sys.executable).parent))
shell.prefix(
    "exec env PIPELINE_PARENT_DEATH=1 "
    if workflow.deployment_settings.deployment_method
    else f'exec env PIPELINE_PARENT_DEATH=1 PATH={PYTHON}:"$PATH" '
)


wildcard_constraints:
    dataset="|".join([*RATING_DATASETS, *SYNTHETIC_DATASETS]),
    method="|".join(ACTIVE.methods),
    setting="|".join(ACTIVE.settings),
    seed=r"\d+",
    study="|".join(STUDIES),


def grid_paths(pattern):
    return expand(
        pattern, method=ACTIVE.methods, setting=ACTIVE.settings, seed=ACTIVE.seeds
    )


def dataset_of(setting):
    return PARAMS.settings[setting].dataset


def tasks_of(wildcards):
    return f"data/tasks/{dataset_of(wildcards.setting)}.parquet"


def ratings_of(wildcards):
    """Rating tasks are made from ratings; a synthetic family is drawn."""
    known = wildcards.dataset in SOURCES
    return [f"data/ratings/{wildcards.dataset}.parquet"] if known else []


def gpus_wanted(wildcards):
    """GPUs that a job asks for: none on the CPU; a cluster's head node needs none itself."""
    if PARAMS.device == "cpu":
        return 0
    elsewhere = workflow.non_local_exec
    return int(PARAMS.device == "cuda" or elsewhere or gpu_here())


# Options that change no result. Snakemake compares only params that do not depend on
# `resources`, so that another device or folder of archives reruns nothing.
def device_option(wildcards, resources):
    return f"--device {PARAMS.device}"


def evidence_option(wildcards, resources):
    """Where a job's record is kept for git; of a run or of a profile."""
    if not ACTIVE.keep_evidence:
        return ""
    of_run = "setting" in wildcards.keys()
    name = (
        f"{wildcards.setting}.parquet" if of_run else f"profile/{wildcards.method}.json"
    )
    return f"--evidence {RESULTS}/evidence/{name}"


def save_option(wildcards, resources):
    return f"--checkpoint-every {PARAMS.grid_training().checkpoint_every}"


def source_options(wildcards, resources):
    folder = shlex.quote(PARAMS.raw_dir or PARAMS.data.raw_dir)
    data = PARAMS.data
    return f"--raw-dir {folder} --retries {data.retries} --timeout {data.timeout_s}"


# Recipes: what makes an artifact stale, and what it carries.
def archive_spec(wildcards):
    return canonical(recipes.archive_recipe(PARAMS, wildcards.dataset))


def ratings_spec(wildcards):
    return canonical(recipes.ratings_recipe(PARAMS, wildcards.dataset))


def tasks_spec(wildcards):
    return canonical(recipes.tasks_recipe(PARAMS, wildcards.dataset))


def episodes_spec(wildcards):
    seed = int(wildcards.seed)
    return canonical(recipes.episodes_recipe(PARAMS, wildcards.setting, seed))


def run_spec(wildcards):
    of = (wildcards.method, wildcards.setting, int(wildcards.seed))
    return canonical(recipes.run_recipe(PARAMS, *of))


# Paths of a block's seeds, as `meta-train` takes them: `{seed}` stands for each one's.
def block_episodes(wildcards):
    return f"data/episodes/{wildcards.setting}/{{seed}}.parquet"


def block_runs(wildcards):
    return f"{RESULTS}/runs/{wildcards.method}/{wildcards.setting}/{{seed}}"


def block_spec(seeds):
    """Recipes of a block's runs: each is that of its seed trained alone."""

    def spec(wildcards):
        of_seeds = [
            recipes.run_recipe(PARAMS, wildcards.method, wildcards.setting, seed)
            for seed in seeds
        ]
        return canonical(of_seeds)

    return spec


def profile_spec(wildcards):
    return canonical(recipes.profile_recipe(PARAMS, wildcards.method))


def study_spec(wildcards):
    return canonical(study_recipe(PARAMS, wildcards.study))


def grid_spec(entry, **more):
    """The grid, and a digest of the code that reads its records."""
    recipe = {"grid": GRID, "code": recipes.code_digest(entry)} | more
    for name in ("methods", "settings", "seeds", "companions"):
        recipe[name] = getattr(ACTIVE, name)
    return canonical(recipe)


def results_folder(wildcards, resources):
    return RESULTS


def reported(kind, name, file):
    """A table or figure with its caption in `snakemake --report`."""
    return report(
        f"{RESULTS}/{file}",
        caption=f"../report/{kind}_{name}.rst",
        category=f"{kind}s".capitalize(),
        labels={kind: name.replace("_", " ")},
    )

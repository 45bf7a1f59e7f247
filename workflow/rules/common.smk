# Parameters, and a look at what lies on disk; nothing else. Every number comes from params.yaml
# (or --config), is checked here before any job exists, and reaches its job through the recipe.
# Nothing is written, deleted or drawn while this is read.
import gc
import json
import os
import shlex
import sys
import uuid
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import validate

# What is read here stays: Python's garbage collector, which would look at it again and again, has
# nothing to do, and takes a sixth of the time of a dry run. On again at the end of the Snakefile.
gc.disable()

# The folder that holds pipeline/, so that this checkout's own code is the one used: that of the
# Snakefile, or the one above where workflow/Snakefile is the main one.
FOLDER = Path(workflow.basedir).resolve()
if not (FOLDER / "pipeline").is_dir():
    FOLDER = FOLDER.parent
sys.path.insert(0, str(FOLDER))
sys.dont_write_bytecode = True

from pipeline.config import figures, tables
from pipeline.config.grids import DATASETS
from pipeline.config.load import read_mapping, read_overrides, read_parameters
from pipeline.config.schema import load_params, with_methods_named
from pipeline.config.studies import STUDIES
from pipeline.errors import BadInput, of_system
from pipeline.files import remove_leftovers
from pipeline.jobs import accessories, process, worker
from pipeline.jobs.artifacts import fault_of, seed_blocks
from pipeline.jobs.console import Console, asked_for_own_words
from pipeline.jobs.grid import jobs_of
from pipeline.jobs.handed import handed, write_handed
from pipeline.jobs.look import damage_lines, jobs_left, look
from pipeline.jobs.recipes import archives_folder, own_file

try:
    # not `config`, which Snakemake has read in its own way
    OVERRIDES = read_overrides(
        workflow.overwrite_configfiles, workflow.config_settings.config
    )
    PARAMS = load_params(Path("params.yaml"), OVERRIDES)
    ARCHIVES = archives_folder(PARAMS)
    LOOK = look(PARAMS)
except (BadInput, OSError) as error:
    said = of_system(error) if isinstance(error, OSError) else error
    print(f"error: {said}", file=sys.stderr)
    sys.exit(2)

# The schemas for editors and the workflow catalogue are generated from what was just applied.
GIVEN = with_methods_named(read_parameters(Path("params.yaml"), OVERRIDES))
GRID_GIVEN = dict(read_mapping(Path(f"grids/{PARAMS.grid}.yaml")))
try:
    validate(GIVEN, "../schemas/params.schema.json", set_default=False)
    validate(GRID_GIVEN, "../schemas/grid.schema.json", set_default=False)
except WorkflowError:
    print(
        "error: workflow/schemas/: the schemas are older than the cards of pipeline/config, which "
        "find params.yaml and the grid sound. Write them anew: `make schema`.",
        file=sys.stderr,
    )
    sys.exit(2)

GRID = PARAMS.grid
ACTIVE = PARAMS.active
RESULTS = f"results/{GRID}"
BLOCKS = seed_blocks(ACTIVE.seeds, ACTIVE.seeds_per_job)
REFERENCE = f"{RESULTS}/reference/{{setting}}/{{seed}}.parquet"
OFFSETS = "data/episodes/{setting}/{seed}.offsets.parquet"
BLOCK_FILE = f"{RESULTS}/runs/{{method}}/{{setting}}/block_{{block}}.json"

# The mark of this call: whatever is there and carries another recipe than it should takes it as
# an input, and so runs again, whatever modification times and Snakemake's memory say. A name of
# its own for each call: what a killed call left behind marks nothing.
CONSOLE = Console(own_words=asked_for_own_words(sys.argv[1:]))
if "PIPELINE_CALL" not in os.environ:  # not a job of a call
    logger.addFilter(CONSOLE)
    os.environ["PIPELINE_CALL"] = uuid.uuid4().hex[:12]
    if LOOK.broken:
        print(*LOOK.broken, sep="\n", file=sys.stderr)
    for line in damage_lines(LOOK):
        print(line, file=sys.stderr)
    if LOOK.stale:
        print(
            f"{len(LOOK.stale)} files are not what they should be ({min(LOOK.stale)}, ...): the "
            "targets all, train_all and data_all make what they need of them anew.",
            file=sys.stderr,
        )
MARKS = "results/.stale"
MARK = f"{MARKS}/{os.environ['PIPELINE_CALL']}"
# What the grid needs of it: data below records that hold or that evidence gives back stay as they
# are, those below records that are to be trained are made anew, whether or not a record is there.
TO_REMAKE = LOOK.stale & (jobs_left(LOOK) | {*LOOK.restored})
STALE_DATA = {name for name in LOOK.stale if name.startswith("data/")}


envvars:
    "PIPELINE_CALL",


# `exec`: no shell between Snakemake and the job, which dies with its parent (jobs/process.py).
# The environment that Snakemake runs in is the job's, unless Snakemake has activated another.
# The code is this checkout's wherever `--directory` points to. `worker.start` sets the same.
PYTHON = shlex.quote(str(Path(sys.executable).parent))
ROOT = shlex.quote(str(FOLDER))
CONDA = shlex.quote(os.environ.get("CONDA_PREFIX", ""))
shell.prefix(
    f'[ "${{{{CONDA_PREFIX-}}}}" != {CONDA} ] || PATH={PYTHON}:"$PATH"; '
    f"exec env PIPELINE_PARENT_DEATH=$PPID PYTHONPATH={ROOT} "
)


wildcard_constraints:
    dataset="|".join([*DATASETS, *PARAMS.datasets]),
    method="|".join(ACTIVE.methods),
    setting="|".join(ACTIVE.settings),
    seed=r"\d+",
    block=r"\d+",
    study="|".join(STUDIES),
    mark="[0-9a-f]+",


def filled(pattern, wildcards):
    return pattern.format(**dict(wildcards.items()))


def if_stale(pattern):
    """The mark, as an input of a job whose file is there and is not what it should be."""
    return lambda wildcards: [MARK] if filled(pattern, wildcards) in LOOK.stale else []


def recipe_of(pattern):
    """The recipe that the file of a job has to carry."""

    def recipe(wildcards):
        return handed(LOOK.artifacts[filled(pattern, wildcards)][0].recipe)

    return recipe


def recipes_of(pattern):
    """The same for a block: the recipes of all its seeds."""

    def recipes(wildcards):
        return handed([a.recipe for a in LOOK.artifacts[filled(pattern, wildcards)]])

    return recipes


def dataset_of(setting):
    return PARAMS.settings[setting].dataset


def tables_are_fresh():
    """Whether the tables are there, made by the recipe that they should carry."""
    return fault_of(LOOK.artifacts[f"{RESULTS}/tables/spec.json"][0]) is None


def tasks_of(wildcards):
    return [ancient(f"data/tasks/{dataset_of(wildcards.setting)}.parquet")]


def offsets_of(setting, seeds):
    """Models that the offsets of a setting are of, where it has some."""
    if not PARAMS.settings[setting].offset:
        return []
    return [ancient(OFFSETS.format(setting=setting, seed=seed)) for seed in seeds]


def offsets_option(setting, seed):
    if not PARAMS.settings[setting].offset:
        return ""
    return f"--offsets {shlex.quote(OFFSETS.format(setting=setting, seed=seed))}"


def archive_of(wildcards):
    """What ratings are read from: an archive, or a person's own file."""
    if PARAMS.has_archive(wildcards.dataset):
        return ancient(f"data/raw/{wildcards.dataset}.zip")
    return ancient(str(own_file(PARAMS, wildcards.dataset)))


def source_of(wildcards):
    """What tasks are made from: ratings, or a person's own table; a synthetic family is drawn."""
    kind = PARAMS.kind_of(wildcards.dataset)
    if kind == "table":
        return [ancient(str(own_file(PARAMS, wildcards.dataset)))]
    return (
        [ancient(f"data/ratings/{wildcards.dataset}.parquet")]
        if kind == "ratings"
        else []
    )


def gpus_wanted(wildcards):
    """GPUs that a job asks for here; a cluster's profile says it for jobs elsewhere."""
    if PARAMS.device == "cpu":
        return 0
    return int(PARAMS.device == "cuda" or process.gpu_here())


# Options that change no result, and so stand in no recipe.
def device_option(wildcards):
    return f"--device {PARAMS.device}"


def capture_option(wildcards):
    return f"--capture {PARAMS.capture}"


def evidence_option(wildcards):
    """Where a job's record is kept for git; of a block of runs or of a profile or study."""
    if not ACTIVE.keep_evidence:
        return ""
    named = dict(wildcards.items())
    if "setting" in named:
        name = f"{wildcards.setting}.parquet"
    elif "study" in named:
        name = f"studies/{wildcards.study}.json"
    else:
        name = f"profile/{wildcards.method}.json"
    return f"--evidence {RESULTS}/evidence/{name}"


def save_option(wildcards):
    return f"--checkpoint-every {PARAMS.grid_training().checkpoint_every}"


def source_options(wildcards):
    folder = shlex.quote(str(ARCHIVES))
    data = PARAMS.data
    return f"--raw-dir {folder} --retries {data.retries} --timeout {data.timeout_s}" + (
        " --allow-unverified-tls" if data.allow_unverified_tls else ""
    )


def reported(kind, name, suffix):
    """A table or figure of `snakemake --report`, with what it shows beside its name."""
    card = {"table": tables.TABLES, "figure": figures.FIGURES}[kind][name]
    told = tables.measure_of_grid(PARAMS).said
    return report(
        f"{RESULTS}/{kind}s/{name}.{suffix}",
        category=f"{kind}s".capitalize(),
        labels={
            kind: told(card.title),
            "what it shows": told(card.caption).replace("`", ""),
        },
    )


# No rule: it works beside the jobs, and nothing waits for it.
def live_command():
    """What logs runs while they train; it ends with this process."""
    return [
        *(
            "env",
            f"PYTHONPATH={FOLDER}",
            sys.executable,
            "-m",
            "pipeline",
            "log-live",
            RESULTS,
        ),
        *("--uri", PARAMS.tracking.uri, "--spec", recipe_of(TRACKING)({})),
        *("--parent", str(os.getpid())),
    ]

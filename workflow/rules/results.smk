# records -> tables, figures; replay to MLflow
TABLE_NAMES = [
    "main",
    "per_seed",
    "comparisons",
    "verdicts",
    "rating_verdicts",
    "curves",
    "training",
    "costs",
]
FIGURE_NAMES = ["curves", "training", "memory", "time"]
if any(PARAMS.settings[setting].is_synthetic for setting in ACTIVE.settings):
    TABLE_NAMES.append("equal_cost")
    FIGURE_NAMES += ["instances", "equal_cost"]
HAS_RATINGS = any(not PARAMS.settings[name].is_synthetic for name in ACTIVE.settings)
if HAS_RATINGS:
    TABLE_NAMES.append("audit")
    FIGURE_NAMES.append("ratings")
if PARAMS.grid_training().ledger_every is not None:
    FIGURE_NAMES += ["ledger", "fidelity_nrmse"]
# ablation, long horizons, choices: the grid's own, or committed by its companions
EXTRA_NAMES = extra_tables(PARAMS)
STUDY_NAMES = [table for study in ACTIVE.studies.names for table in STUDIES[study]]
FIGURE_NAMES += [
    *STUDY_NAMES,
    *[name for name in FIGURES if name in EXTRA_NAMES],
]

# committed tables of other grids, where there are any: nothing is made for them
COMPANION_TABLES = [
    path.as_posix()
    for companion in ACTIVE.companions
    for name in ("main", "equal_cost")
    if (path := companion_file(Path(RESULTS), companion, name)).is_file()
]


rule build_tables:
    input:
        rules.train_all.input,
        companions=[*COMPANION_TABLES, *extra_inputs(PARAMS)],
    output:
        [
            reported("table", name, f"tables/{name}.csv")
            for name in [*TABLE_NAMES, *STUDY_NAMES, *EXTRA_NAMES]
        ],
        [f"{RESULTS}/tables/ablation.md"] if "ablation" in EXTRA_NAMES else [],
        expand(
            f"{RESULTS}/tables/{{name}}.md",
            name=["audit", "rating_verdicts"] if HAS_RATINGS else [],
        ),
        f"{RESULTS}/tables/main.md",
        f"{RESULTS}/tables/verdicts.md",
        f"{RESULTS}/tables/findings.json",
        f"{RESULTS}/tables/summary.json",
    log:
        f"logs/build_tables/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=results_folder,
        spec=grid_spec("pipeline.tables.build"),
    shell:
        "python -m pipeline build-tables {params.results:q} --spec {params.spec:q}"
        " > {log:q} 2>&1"


rule plot_curves:
    input:
        rules.build_tables.output,
        tasks=expand(
            "data/tasks/{dataset}.parquet",
            dataset=sorted(
                {
                    dataset_of(setting)
                    for setting in ACTIVE.settings
                    if PARAMS.settings[setting].is_synthetic
                }
            ),
        ),
    output:
        [reported("figure", name, f"figures/{name}.svg") for name in FIGURE_NAMES],
        expand(f"{RESULTS}/figures/{{name}}.png", name=FIGURE_NAMES),
    log:
        f"logs/plot_curves/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=results_folder,
        spec=grid_spec("pipeline.figures.draw"),
    shell:
        "python -m pipeline plot-curves {params.results:q} --tasks data/tasks"
        " --spec {params.spec:q} > {log:q} 2>&1"


# One page for people: tables and figures, and from each number to the runs behind it.
rule build_report:
    input:
        rules.build_tables.output,
        rules.plot_curves.output,
    output:
        f"{RESULTS}/report.html",
    log:
        f"logs/build_report/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=results_folder,
        spec=grid_spec("pipeline.report.page", texts=texts_digest()),
    shell:
        "python -m pipeline build-report {params.results:q} --spec {params.spec:q}"
        " > {log:q} 2>&1"


# The database holds every grid, so it is updated in place; deleted, it is rebuilt from records.
rule log_tracking:
    input:
        rules.train_all.input,
        rules.build_tables.output,
        rules.plot_curves.output,
    output:
        update("mlflow.db"),
    log:
        f"logs/log_tracking/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        results=results_folder,
        spec=grid_spec("pipeline.tracking.replay"),
    shell:
        "python -m pipeline log-tracking {params.results:q} --uri sqlite:///{output}"
        " --spec {params.spec:q} > {log:q} 2>&1"

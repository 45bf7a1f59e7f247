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

# The recipes that tables, figures and page carry are written last, by the commands themselves.
TABLES = f"{RESULTS}/tables/spec.json"
FIGURES_MADE = f"{RESULTS}/figures/spec.json"
PAGE = f"{RESULTS}/report.json"
TRACKING = f"{RESULTS}/tracking.json"


rule build_tables:
    input:
        RECORDS,
        stale=if_stale(TABLES),
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
        TABLES,
    log:
        f"logs/build_tables/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=RESULTS,
        spec=recipe_of(TABLES),
    shell:
        "python -m pipeline build-tables {params.results:q} --spec {params.spec:q}"
        " > {log:q} 2>&1"


rule plot_curves:
    input:
        TABLES,
        tasks=[  # of which a figure shows an instance
            ancient(f"data/tasks/{dataset}.parquet")
            for dataset in sorted(
                {
                    dataset_of(setting)
                    for setting in ACTIVE.settings
                    if PARAMS.settings[setting].is_synthetic
                }
            )
        ],
        stale=if_stale(FIGURES_MADE),
    output:
        [reported("figure", name, f"figures/{name}.svg") for name in FIGURE_NAMES],
        expand(f"{RESULTS}/figures/{{name}}.png", name=FIGURE_NAMES),
        FIGURES_MADE,
    log:
        f"logs/plot_curves/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=RESULTS,
        spec=recipe_of(FIGURES_MADE),
    shell:
        "python -m pipeline plot-curves {params.results:q} --tasks data/tasks"
        " --spec {params.spec:q} > {log:q} 2>&1"


# One page for people: tables and figures, and from each number to the runs behind it.
rule build_report:
    input:
        TABLES,
        FIGURES_MADE,
        stale=if_stale(PAGE),
    output:
        f"{RESULTS}/report.html",
        PAGE,
    log:
        f"logs/build_report/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=RESULTS,
        spec=recipe_of(PAGE),
    shell:
        "python -m pipeline build-report {params.results:q} --spec {params.spec:q}"
        " > {log:q} 2>&1"


# The database holds every grid and is updated in place; deleted, it is rebuilt from records.
rule log_tracking:
    input:
        RECORDS,
        TABLES,
        FIGURES_MADE,
        stale=if_stale(TRACKING),
    output:
        TRACKING,
    log:
        f"logs/log_tracking/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        results=RESULTS,
        spec=recipe_of(TRACKING),
    shell:
        "python -m pipeline log-tracking {params.results:q} --spec {params.spec:q}"
        " > {log:q} 2>&1"

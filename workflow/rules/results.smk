# records -> tables, figures; replay to MLflow; champions
# The recipes that tables, figures and page carry are written last, by the commands themselves.
TABLES = f"{RESULTS}/tables/spec.json"
FIGURES_MADE = f"{RESULTS}/figures/spec.json"
PAGE = f"{RESULTS}/report.json"
TRACKING = f"{RESULTS}/tracking.json"
CHAMPIONS_LOG = f"logs/champions/{GRID}.log"


rule build_tables:
    input:
        RECORDS,
        stale=if_stale(TABLES),
    output:
        [reported("table", name, "csv") for name in tables.tables_of(PARAMS)],
        expand(f"{RESULTS}/tables/{{file}}", file=tables.beside_tables(PARAMS)),
        TABLES,
    log:
        f"logs/build_tables/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=lambda wildcards: RESULTS,
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
        [reported("figure", name, "svg") for name in figures.figures_of(PARAMS)],
        expand(f"{RESULTS}/figures/{{name}}.png", name=figures.figures_of(PARAMS)),
        FIGURES_MADE,
    log:
        f"logs/plot_curves/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        results=lambda wildcards: RESULTS,
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
        results=lambda wildcards: RESULTS,
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
        results=lambda wildcards: RESULTS,
        uri=lambda wildcards: PARAMS.tracking.uri,
        spec=recipe_of(TRACKING),
    shell:
        "python -m pipeline log-tracking {params.results:q} --uri {params.uri:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


# A target for people, beside `all`. It has no output: the command itself sees which champions stand,
# and makes the page anew that shows them.
rule champions:
    input:
        RECORDS,
        rules.build_tables.output,
        rules.plot_curves.output,
        rules.build_report.output,
        rules.log_tracking.output,
        stale=[MARK] if TO_REMAKE else [],
    log:
        CHAMPIONS_LOG,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        config=lambda wildcards: json.dumps(OVERRIDES),
    shell:
        "python -m pipeline promote --config {params.config:q} > {log:q} 2>&1"

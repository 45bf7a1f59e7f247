# archive -> ratings -> task sets -> frozen episodes
# `ancient`: what is stale is said by recipes, not by modification times.


rule download:
    input:
        stale=if_stale("data/raw/{dataset}.zip"),
    output:
        archive="data/raw/{dataset}.zip",
        recipe="data/raw/{dataset}.json",
    log:
        "logs/download/{dataset}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        options=source_options,
        spec=recipe_of("data/raw/{dataset}.zip"),
    shell:
        "python -m pipeline download {wildcards.dataset} {output.archive:q} {params.options}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule build_ratings:
    input:
        archive=archive_of,
        stale=if_stale("data/ratings/{dataset}.parquet"),
    output:
        "data/ratings/{dataset}.parquet",
    log:
        "logs/build_ratings/{dataset}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=recipe_of("data/ratings/{dataset}.parquet"),
    shell:
        "python -m pipeline build-ratings {wildcards.dataset} {input.archive:q} {output:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule build_tasks:
    input:
        source=source_of,
        stale=if_stale("data/tasks/{dataset}.parquet"),
    output:
        "data/tasks/{dataset}.parquet",
    log:
        "logs/build_tasks/{dataset}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        source=lambda wildcards, input: [f"--source={path}" for path in input.source],
        spec=recipe_of("data/tasks/{dataset}.parquet"),
    shell:
        "python -m pipeline build-tasks {wildcards.dataset} {output:q} {params.source:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule freeze_episodes:
    input:
        tasks=tasks_of,
        stale=if_stale("data/episodes/{setting}/{seed}.parquet"),
    output:
        "data/episodes/{setting}/{seed}.parquet",
    log:
        "logs/freeze_episodes/{setting}/{seed}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        spec=recipe_of("data/episodes/{setting}/{seed}.parquet"),
    shell:
        "python -m pipeline freeze-episodes {input.tasks:q} {output:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


# Models of the items, for all methods of a setting whose ratings have an offset.
rule fit_offsets:
    input:
        tasks=tasks_of,
        episodes=ancient("data/episodes/{setting}/{seed}.parquet"),
        stale=if_stale(OFFSETS),
    output:
        OFFSETS,
    log:
        "logs/fit_offsets/{setting}/{seed}.offsets.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=recipe_of(OFFSETS),
    shell:
        "python -m pipeline fit-offsets {input.tasks:q} {input.episodes:q} {output:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


# Everything below data/ that the grid needs.
rule data_all:
    input:
        [offsets_of(setting, ACTIVE.seeds) for setting in ACTIVE.settings],
        expand(
            "data/episodes/{setting}/{seed}.parquet",
            setting=ACTIVE.settings,
            seed=ACTIVE.seeds,
        ),
        stale=[MARK] if STALE_DATA else [],


# See MARK in common.smk.
rule mark_stale:
    output:
        temp(f"{MARKS}/{{mark}}"),
    log:
        "logs/mark_stale/{mark}.log",
    conda:
        "../envs/pipeline.yaml"
    shell:
        "python -c 'import pathlib, sys; pathlib.Path(sys.argv[1]).touch()' {output:q} > {log:q}"
        " 2>&1"

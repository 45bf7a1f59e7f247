# archive -> ratings -> task sets -> frozen episodes


rule download:
    output:
        "data/raw/{dataset}.zip",
    log:
        "logs/download/{dataset}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=500,
    params:
        options=source_options,
        spec=archive_spec,
    shell:
        "python -m pipeline download {wildcards.dataset} {output:q} {params.options}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule build_ratings:
    input:
        "data/raw/{dataset}.zip",
    output:
        "data/ratings/{dataset}.parquet",
    log:
        "logs/build_ratings/{dataset}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=ratings_spec,
    shell:
        "python -m pipeline build-ratings {wildcards.dataset} {input:q} {output:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule build_tasks:
    input:
        ratings_of,
    output:
        "data/tasks/{dataset}.parquet",
    log:
        "logs/build_tasks/{dataset}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        ratings=lambda wildcards, input: [f"--ratings={path}" for path in input],
        spec=tasks_spec,
    shell:
        "python -m pipeline build-tasks {wildcards.dataset} {output:q} {params.ratings:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule freeze_episodes:
    input:
        tasks_of,
    output:
        "data/episodes/{setting}/{seed}.parquet",
    log:
        "logs/freeze_episodes/{setting}/{seed}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
    params:
        spec=episodes_spec,
    shell:
        "python -m pipeline freeze-episodes {input:q} {output:q}"
        " --spec {params.spec:q} > {log:q} 2>&1"


# Everything below data/ that the grid needs.
rule data_all:
    input:
        grid_paths("data/episodes/{setting}/{seed}.parquet"),

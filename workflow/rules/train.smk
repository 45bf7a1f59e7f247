# method x setting x seed -> run records; cost against inner steps


# A killed job leaves checkpoint.pt in its folder, undeclared so that Snakemake keeps it; the
# next job with the same recipe goes on from there.
rule meta_train:
    input:
        tasks=tasks_of,
        episodes="data/episodes/{setting}/{seed}.parquet",
    output:
        f"{RUN}/curve.parquet",
        f"{RUN}/test_rows.parquet",
        f"{RUN}/meta_init.safetensors",
        f"{RUN}/metrics.json",
        f"{RUN}/spec.json",  # written last
    log:
        f"logs/meta_train/{GRID}/{{method}}/{{setting}}/{{seed}}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        gpu=gpus_wanted,
    params:
        run=RUN,
        device=device_option,
        save=save_option,
        spec=run_spec,
    shell:
        "python -m pipeline meta-train {input.tasks:q} {input.episodes:q} {params.run:q}"
        " {params.device} --threads {threads} {params.save} --spec {params.spec:q}"
        " > {log:q} 2>&1"


rule profile_cost:
    output:
        f"{RESULTS}/profile/{{method}}.json",
    log:
        f"logs/profile_cost/{GRID}/{{method}}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        gpu=gpus_wanted,
    params:
        device=device_option,
        spec=profile_spec,
    shell:
        "python -m pipeline profile-cost {output:q} {params.device} --threads {threads}"
        " --spec {params.spec:q} > {log:q} 2>&1"


# Every record of the grid: a run is whole when its spec.json is there.
rule train_all:
    input:
        grid_paths(f"{RUN}/spec.json"),
        expand(f"{RESULTS}/profile/{{method}}.json", method=ACTIVE.methods),

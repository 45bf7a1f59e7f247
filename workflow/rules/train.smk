# method x setting x seed -> run records; cost against inner steps
RUN_FILES = ["curve.parquet", "test_rows.parquet", "meta_init.safetensors"]
RUN_FILES += ["metrics.json", "spec.json"]  # written last


# A killed job leaves checkpoint.pt in its folder, undeclared so that Snakemake keeps it; the
# next job with the same recipe goes on from there.
if not BLOCKS:

    rule meta_train:
        input:
            tasks=tasks_of,
            episodes="data/episodes/{setting}/{seed}.parquet",
        output:
            [f"{RUN}/{file}" for file in RUN_FILES],
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
            evidence=evidence_option,
            spec=run_spec,
        shell:
            "python -m pipeline meta-train {input.tasks:q} {input.episodes:q} {params.run:q}"
            " {params.device} --threads {threads} {params.save}"
            " {params.evidence} --spec {params.spec:q}"
            " > {log:q} 2>&1"


# Seeds of a block are trained together. `update`: Snakemake leaves the records where they are,
# and the job those that carry the recipe it was given (--keep-finished).
for block, seeds in BLOCKS.items():

    rule:
        name:
            f"meta_train_block_{block}"
        input:
            tasks=tasks_of,
            episodes=[f"data/episodes/{{setting}}/{seed}.parquet" for seed in seeds],
        output:
            update([f"{RUNS}/{seed}/{file}" for seed in seeds for file in RUN_FILES]),
        log:
            f"logs/meta_train/{GRID}/{{method}}/{{setting}}/block_{block}.log",
        conda:
            "../envs/pipeline.yaml"
        threads: 1
        resources:
            mem_mb=1500 + 500 * len(seeds),
            gpu=gpus_wanted,
        params:
            episodes=block_episodes,
            runs=block_runs,
            device=device_option,
            save=save_option,
            evidence=evidence_option,
            spec=block_spec(seeds),
        shell:
            "python -m pipeline meta-train {input.tasks:q} {params.episodes:q} {params.runs:q}"
            " {params.device} --threads {threads} {params.save} --keep-finished"
            " {params.evidence} --spec {params.spec:q} > {log:q} 2>&1"


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
        evidence=evidence_option,
        spec=profile_spec,
    shell:
        "python -m pipeline profile-cost {output:q} {params.device} --threads {threads}"
        " {params.evidence} --spec {params.spec:q} > {log:q} 2>&1"


# Every record of the grid: a run is whole when its spec.json is there.
rule train_all:
    input:
        grid_paths(f"{RUN}/spec.json"),
        expand(f"{RESULTS}/profile/{{method}}.json", method=ACTIVE.methods),
        rules.studies_all.input,

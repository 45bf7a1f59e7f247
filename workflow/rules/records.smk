# setting x seed -> references; method x setting x block of seeds -> run records; cost against inner steps; studies
# Records come from training, or from committed evidence where that still holds.


if LOOK.restored:

    ruleorder: restore_runs > build_reference
    ruleorder: restore_runs > meta_train
    ruleorder: restore_runs > profile_cost
    ruleorder: restore_runs > run_study

    # All in one job: a process for each of hundreds of records would take longer than they do.
    rule restore_runs:
        input:
            stale=[MARK] if LOOK.stale.intersection(LOOK.restored) else [],
        output:
            LOOK.restored,
        log:
            f"logs/restore_runs/{GRID}.log",
        conda:
            "../envs/pipeline.yaml"
        threads: 1
        resources:
            mem_mb=2000,
        params:
            config=lambda wildcards: json.dumps(OVERRIDES),
        shell:
            "python -m pipeline restore-runs --config {params.config:q} > {log:q} 2>&1"


rule build_reference:
    input:
        tasks=tasks_of,
        episodes=ancient("data/episodes/{setting}/{seed}.parquet"),
        offsets=lambda wildcards: offsets_of(wildcards.setting, [wildcards.seed]),
        stale=if_stale(REFERENCE),
    output:
        REFERENCE,
    log:
        f"logs/build_reference/{GRID}/{{setting}}/{{seed}}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        gpu=gpus_wanted,
    params:
        device=device_option,
        evidence=evidence_option,
        offsets=lambda wildcards: offsets_option(wildcards.setting, wildcards.seed),
        spec=recipe_of(REFERENCE),
    shell:
        "python -m pipeline build-reference {input.tasks:q} {input.episodes:q} {output:q}"
        " {params.device} --threads {threads} {params.evidence} {params.offsets}"
        " --spec {params.spec:q} > {log:q} 2>&1"


# Seeds of a block are trained together. The records themselves are not declared: Snakemake would
# delete them before a job and after one that fails. The job leaves those that are whole and carry
# their recipe, goes on from checkpoint.pt where one lies there, and writes the block's file last.
rule meta_train:
    input:
        tasks=tasks_of,
        episodes=lambda wildcards: [
            ancient(f"data/episodes/{wildcards.setting}/{seed}.parquet")
            for seed in BLOCKS[int(wildcards.block)]
        ],
        offsets=lambda wildcards: offsets_of(
            wildcards.setting, BLOCKS[int(wildcards.block)]
        ),
        stale=if_stale(BLOCK_FILE),
    output:
        BLOCK_FILE,
    log:
        f"logs/meta_train/{GRID}/{{method}}/{{setting}}/block_{{block}}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: 1500 + 500 * len(BLOCKS[int(wildcards.block)]),
        gpu=gpus_wanted,
    params:
        # `{seed}` in them stands for each one's
        episodes=lambda wildcards: f"data/episodes/{wildcards.setting}/{{seed}}.parquet",
        runs=lambda wildcards: (
            f"{RESULTS}/runs/{wildcards.method}/{wildcards.setting}/{{seed}}"
        ),
        device=device_option,
        capture=capture_option,
        save=save_option,
        evidence=evidence_option,
        offsets=lambda wildcards: offsets_option(wildcards.setting, "{seed}"),
        spec=recipes_of(BLOCK_FILE),
    shell:
        "python -m pipeline meta-train {input.tasks:q} {params.episodes:q} {params.runs:q}"
        " {params.device} {params.capture} --threads {threads} {params.save} --keep-finished"
        " {params.evidence} {params.offsets} --block {output:q} --spec {params.spec:q} > {log:q} 2>&1"


rule profile_cost:
    input:
        stale=if_stale(f"{RESULTS}/profile/{{method}}.json"),
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
        spec=recipe_of(f"{RESULTS}/profile/{{method}}.json"),
    shell:
        "python -m pipeline profile-cost {output:q} {params.device} --threads {threads}"
        " {params.evidence} --spec {params.spec:q} > {log:q} 2>&1"


# Studies of the meta-gradients themselves, for grids that have them; on the CPU.
rule run_study:
    input:
        stale=if_stale(f"{RESULTS}/studies/{{study}}.json"),
    output:
        f"{RESULTS}/studies/{{study}}.json",
    log:
        f"logs/run_study/{GRID}/{{study}}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        evidence=evidence_option,
        spec=recipe_of(f"{RESULTS}/studies/{{study}}.json"),
    shell:
        "python -m pipeline study-{wildcards.study} {output:q} --threads {threads}"
        " {params.evidence} --spec {params.spec:q} > {log:q} 2>&1"


RECORDS = [
    *expand(REFERENCE, setting=ACTIVE.settings, seed=ACTIVE.seeds),
    *expand(BLOCK_FILE, method=ACTIVE.methods, setting=ACTIVE.settings, block=BLOCKS),
    *expand(f"{RESULTS}/profile/{{method}}.json", method=ACTIVE.methods),
    *expand(f"{RESULTS}/studies/{{study}}.json", study=ACTIVE.studies.names),
]


# What a job could not put into evidence beside its work, once all records are there.
KEPT = f"{MARKS}/kept.{GRID}"


rule keep_evidence:
    input:
        RECORDS,
    output:
        temp(touch(KEPT)),
    log:
        f"logs/keep_evidence/{GRID}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
    params:
        results=lambda wildcards: RESULTS,
        spec=recipe_of(f"{RESULTS}/tables/spec.json"),
    shell:
        "python -m pipeline keep-evidence {params.results:q} --spec {params.spec:q}"
        " > {log:q} 2>&1"


# Every record of the grid.
rule train_all:
    input:
        RECORDS,
        stale=[MARK] if TO_REMAKE.intersection({*RECORDS, *STALE_DATA}) else [],

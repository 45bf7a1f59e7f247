# Studies of the meta-gradients themselves, for grids that have them; on the CPU.
rule run_study:
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
        spec=study_spec,
    shell:
        "python -m pipeline study-{wildcards.study} {output:q} --threads {threads}"
        " --spec {params.spec:q} > {log:q} 2>&1"


rule studies_all:
    input:
        expand(f"{RESULTS}/studies/{{study}}.json", study=ACTIVE.studies.names),

# `snakemake --cores 2` runs the grid that params.yaml names. The rules are in workflow/.
include: "workflow/Snakefile"


# an included file never carries its default target over
rule whole_grid:
    default_target: True
    input:
        rules.all.input,

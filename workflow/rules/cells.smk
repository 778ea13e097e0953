# Cells: one corpus to pre-train on, and the labels of each sample.


rule corpus:
    input:
        expand(f"{OUT}/counts/{{sample}}/outs/filtered_peak_bc_matrix.h5", sample=SAMPLES),
    output:
        # not the corpus itself, which Snakemake would remove before it adds a sample: annatac extends it
        touch(f"{OUT}/corpus.done"),
    log:
        f"{OUT}/logs/corpus.log",
    params:
        samples=[f"{name}={OUT}/counts/{name}/outs" for name in SAMPLES],
        corpus=f"{OUT}/corpus",
        genome=SETTINGS.genome,
        options=SETTINGS.prepare_options,
    threads: min(8, len(SAMPLES))
    resources:
        mem_mb=lambda wildcards, threads: 8_000 * threads,
        runtime="4h",
    shell:
        "{PROGRAMS[annatac]:q} prepare {params.samples:q} -o {params.corpus:q} --genome {params.genome:q}"
        " --workers {threads} {params.options} > {log:q} 2>&1"


rule annotate:
    input:
        f"{OUT}/counts/{{sample}}/outs/filtered_peak_bc_matrix.h5",
    output:
        cells=f"{OUT}/labels/{{sample}}.h5ad",
        table=f"{OUT}/labels/{{sample}}.csv",
        report=[f"{OUT}/labels/{{sample}}.html"] if SETTINGS.report else [],
    log:
        f"{OUT}/logs/annotate/{{sample}}.log",
    params:
        outs=lambda wildcards, input: str(Path(input[0]).parent),
        model=SETTINGS.model,
        genome=SETTINGS.genome,
        report=lambda wildcards, output: f"--report {output.report[0]}" if SETTINGS.report else "",
        options=SETTINGS.annotate_options,
    threads: 2
    resources:
        mem_mb=8_000,
        runtime="2h",
    shell:
        "{PROGRAMS[annatac]:q} annotate {params.outs:q} --model {params.model:q} -o {output.cells:q}"
        " --csv {output.table:q} {params.report} --genome {params.genome:q} --threads {threads}"
        " {params.options} > {log:q} 2>&1"

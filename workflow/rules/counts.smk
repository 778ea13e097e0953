# Fragments and peaks of each sample.


def folders_of(sample):
    """Return the folders with a sample's reads."""
    own = SAMPLES[sample]
    return own.fastqs or [f"{OUT}/fastq/{run}" for run in own.runs]


rule count:
    input:
        # their age says nothing: a folder is as new as the last file that was put into it
        fastqs=lambda wildcards: ancient(folders_of(wildcards.sample)),
        reference=ancient(SETTINGS.reference),
    output:
        multiext(
            f"{OUT}/counts/{{sample}}/outs/",
            "fragments.tsv.gz",
            "fragments.tsv.gz.tbi",
            "filtered_peak_bc_matrix.h5",
            "singlecell.csv",
            "web_summary.html",
        ),
    log:
        f"{OUT}/logs/count/{{sample}}.log",
    params:
        # not the folder of the output, which Snakemake makes and removes: Cell Ranger wants to make its own, and
        # goes on in it after a failure
        run=lambda wildcards: f"{OUT}/counts/.run/{wildcards.sample}",
        fastqs=lambda wildcards, input: ",".join(str(Path(folder).resolve()) for folder in input.fastqs),
        prefixes=lambda wildcards: ",".join(SAMPLES[wildcards.sample].prefixes),
        reference=lambda wildcards, input: str(Path(input.reference).resolve()),
        memory_gb=lambda wildcards, resources: max(1, resources.mem_mb // 1000),
        options=SETTINGS.count_options,
        outs=lambda wildcards, output: str(Path(output[0]).parent),
    threads: 16
    resources:
        mem_mb=64_000,
        runtime="24h",
    shell:
        # the lock is one that a killed run has left: Snakemake sees to it that nobody else is at work
        "(mkdir -p {params.run:q} && cd {params.run:q} && rm -f {wildcards.sample}/_lock"
        " && {PROGRAMS[cellranger-atac]:q} count --id={wildcards.sample} --reference={params.reference:q}"
        " --fastqs={params.fastqs:q} --sample={params.prefixes:q} --localcores={threads}"
        " --localmem={params.memory_gb} --disable-ui {params.options}) > {log:q} 2>&1"
        " && mv {params.run:q}/{wildcards.sample}/outs/* {params.outs:q}/ && rm -rf {params.run:q}"

# Reads of public runs, named as Cell Ranger wants them. Removed once they are counted (--notemp keeps them).


rule download:
    output:
        temp(directory(f"{OUT}/fastq/{{run}}")),
    log:
        f"{OUT}/logs/download/{{run}}.log",
    params:
        python=sys.executable,
        temporary=lambda wildcards: f"{OUT}/fastq/.{wildcards.run}",
    threads: 6
    resources:
        mem_mb=8_000,
        runtime="12h",
    retries: 2
    shell:
        "(rm -rf {params.temporary:q} && mkdir -p {params.temporary:q}"
        " && {PROGRAMS[fasterq-dump]:q} --split-files --include-technical --threads {threads}"
        " --temp {params.temporary:q} --outdir {params.temporary:q} {wildcards.run}"
        " && {params.python:q} {SCRIPTS:q}/reads.py {wildcards.run} {params.temporary:q} {output:q} --threads {threads}"
        " && rm -rf {params.temporary:q}) > {log:q} 2>&1"

# Evaluation: one process per model makes all its missing benchmarks; Snakemake knows it by the first of them.


rule generate:
    input:
        flow.inputs("generate"),
    output:
        update("artifacts/generate/{key}/manifest.json"),
    log:
        "logs/generate/{key}.log",
    wildcard_constraints:
        key=flow.pattern("generate"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("generate")
    resources:
        mem_mb=flow.memory_mib("generate"),
        runtime=flow.minutes("generate"),
    params:
        command=flow.command(RUN, "generate"),
        work=flow.work("generate"),
    shell:
        "{params.command} --key {params.work} 2> {log}"


rule score:
    input:
        flow.inputs("score"),
    output:
        update("artifacts/score/{key}/manifest.json"),
    log:
        "logs/score/{key}.log",
    wildcard_constraints:
        key=flow.pattern("score"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("score")
    resources:
        mem_mb=flow.memory_mib("score"),
        runtime=flow.minutes("score"),
    params:
        command=flow.command(RUN, "score"),
        work=flow.work("score"),
    shell:
        "{params.command} --key {params.work} 2> {log}"


rule judge:
    input:
        flow.inputs("judge"),
    output:
        update("artifacts/judge/{key}/manifest.json"),
    log:
        "logs/judge/{key}.log",
    wildcard_constraints:
        key=flow.pattern("judge"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("judge")
    resources:
        mem_mb=flow.memory_mib("judge"),
        runtime=flow.minutes("judge"),
    params:
        command=flow.command(RUN, "judge"),
        work=flow.work("judge"),
    shell:
        "{params.command} --key {params.work} 2> {log}"

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
    threads: flow.threads("generate")
    resources:
        mem_mb=flow.memory_mib("generate"),
        runtime=flow.minutes("generate"),
    params:
        work=flow.work("generate"),
    shell:
        "{RUN}/generate.py --plan {PLAN} --key {params.work} 2> {log}"


rule score:
    input:
        flow.inputs("score"),
    output:
        update("artifacts/score/{key}/manifest.json"),
    log:
        "logs/score/{key}.log",
    wildcard_constraints:
        key=flow.pattern("score"),
    threads: flow.threads("score")
    resources:
        mem_mb=flow.memory_mib("score"),
        runtime=flow.minutes("score"),
    params:
        work=flow.work("score"),
    shell:
        "{RUN}/score.py --plan {PLAN} --key {params.work} 2> {log}"


rule judge:
    input:
        flow.inputs("judge"),
    output:
        update("artifacts/judge/{key}/manifest.json"),
    log:
        "logs/judge/{key}.log",
    wildcard_constraints:
        key=flow.pattern("judge"),
    threads: flow.threads("judge")
    resources:
        mem_mb=flow.memory_mib("judge"),
        runtime=flow.minutes("judge"),
    params:
        work=flow.work("judge"),
    shell:
        "{RUN}/judge.py --plan {PLAN} --key {params.work} 2> {log}"

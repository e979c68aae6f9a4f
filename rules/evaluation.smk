# Evaluation: one process makes all missing benchmarks of a model, or of several; Snakemake knows it by the first.


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
        **flow.asked("generate"),
    params:
        command=flow.group_command(RUN, "generate"),
    shell:
        "{params.command} 2> {log}"


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
        **flow.asked("score"),
    params:
        command=flow.group_command(RUN, "score"),
    shell:
        "{params.command} 2> {log}"


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
        **flow.asked("judge"),
    params:
        command=flow.group_command(RUN, "judge"),
    shell:
        "{params.command} 2> {log}"


rule judge_pairs:
    input:
        flow.inputs("judge_pairs"),
    output:
        update("artifacts/judge_pairs/{key}/manifest.json"),
    log:
        "logs/judge_pairs/{key}.log",
    wildcard_constraints:
        key=flow.pattern("judge_pairs"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("judge_pairs")
    resources:
        **flow.asked("judge_pairs"),
    params:
        command=flow.group_command(RUN, "judge_pairs"),
    shell:
        "{params.command} 2> {log}"

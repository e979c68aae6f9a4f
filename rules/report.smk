# Tables and pages.


rule scores:
    input:
        flow.inputs("scores"),
    output:
        update("artifacts/scores/{key}/manifest.json"),
    log:
        "logs/scores/{key}.log",
    wildcard_constraints:
        key=flow.pattern("scores"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("scores")
    resources:
        mem_mb=flow.memory_mib("scores"),
        runtime=flow.minutes("scores"),
    params:
        command=flow.command(RUN, "scores"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule aggregate:
    input:
        flow.inputs("aggregate"),
    output:
        update("artifacts/aggregate/{key}/manifest.json"),
    log:
        "logs/aggregate/{key}.log",
    wildcard_constraints:
        key=flow.pattern("aggregate"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("aggregate")
    resources:
        mem_mb=flow.memory_mib("aggregate"),
        runtime=flow.minutes("aggregate"),
    params:
        command=flow.command(RUN, "aggregate"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule report:
    input:
        flow.inputs("report"),
    output:
        update("artifacts/report/{key}/manifest.json"),
    log:
        "logs/report/{key}.log",
    wildcard_constraints:
        key=flow.pattern("report"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("report")
    resources:
        mem_mb=flow.memory_mib("report"),
        runtime=flow.minutes("report"),
    params:
        command=flow.command(RUN, "report"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"

# Data: tokenizers, token stores, windows, mixtures, and how much there is of each.


rule tokenizer:
    input:
        flow.inputs("tokenizer"),
    output:
        update("artifacts/tokenizer/{key}/manifest.json"),
    log:
        "logs/tokenizer/{key}.log",
    wildcard_constraints:
        key=flow.pattern("tokenizer"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("tokenizer")
    resources:
        **flow.asked("tokenizer"),
    params:
        command=flow.command(RUN, "tokenizer"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule tokenize_shard:
    input:
        flow.inputs("tokenize_shard"),
    output:
        update("artifacts/tokenize_shard/{key}/manifest.json"),
    log:
        "logs/tokenize_shard/{key}.log",
    wildcard_constraints:
        key=flow.pattern("tokenize_shard"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("tokenize_shard")
    resources:
        **flow.asked("tokenize_shard"),
    params:
        command=flow.command(RUN, "tokenize_shard"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule tokenize:
    input:
        flow.inputs("tokenize"),
    output:
        update("artifacts/tokenize/{key}/manifest.json"),
    log:
        "logs/tokenize/{key}.log",
    wildcard_constraints:
        key=flow.pattern("tokenize"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("tokenize")
    resources:
        **flow.asked("tokenize"),
    params:
        command=flow.command(RUN, "tokenize"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule pack:
    input:
        flow.inputs("pack"),
    output:
        update("artifacts/pack/{key}/manifest.json"),
    log:
        "logs/pack/{key}.log",
    wildcard_constraints:
        key=flow.pattern("pack"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("pack")
    resources:
        **flow.asked("pack"),
    params:
        command=flow.command(RUN, "pack"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule mixture:
    input:
        flow.inputs("mixture"),
    output:
        update("artifacts/mixture/{key}/manifest.json"),
    log:
        "logs/mixture/{key}.log",
    wildcard_constraints:
        key=flow.pattern("mixture"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("mixture")
    resources:
        **flow.asked("mixture"),
    params:
        command=flow.command(RUN, "mixture"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule counts:
    input:
        flow.inputs("counts"),
    output:
        update("artifacts/counts/{key}/manifest.json"),
    log:
        "logs/counts/{key}.log",
    wildcard_constraints:
        key=flow.pattern("counts"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("counts")
    resources:
        **flow.asked("counts"),
    params:
        command=flow.command(RUN, "counts"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"

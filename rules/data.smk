# Data: sources, tokenizers, token stores, windows, mixtures.

rule source:
    input:
        flow.inputs("source"),
    output:
        update("artifacts/source/{key}/manifest.json"),
    log:
        "logs/source/{key}.log",
    params:
        script=SCRIPTS + "/source.py",
    wildcard_constraints:
        key=flow.pattern("source"),
    threads: flow.threads("source")
    resources:
        mem_mb=flow.memory_mib("source"),
        runtime=flow.minutes("source"),
    shell:
        "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {wildcards.key} 2> {log:q}"



rule tokenizer:
    input:
        flow.inputs("tokenizer"),
    output:
        update("artifacts/tokenizer/{key}/manifest.json"),
    log:
        "logs/tokenizer/{key}.log",
    params:
        script=SCRIPTS + "/tokenizer.py",
    wildcard_constraints:
        key=flow.pattern("tokenizer"),
    threads: flow.threads("tokenizer")
    resources:
        mem_mb=flow.memory_mib("tokenizer"),
        runtime=flow.minutes("tokenizer"),
    shell:
        "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {wildcards.key} 2> {log:q}"



rule tokenize:
    input:
        flow.inputs("tokenize"),
    output:
        update("artifacts/tokenize/{key}/manifest.json"),
    log:
        "logs/tokenize/{key}.log",
    params:
        script=SCRIPTS + "/tokenize.py",
    wildcard_constraints:
        key=flow.pattern("tokenize"),
    threads: flow.threads("tokenize")
    resources:
        mem_mb=flow.memory_mib("tokenize"),
        runtime=flow.minutes("tokenize"),
    shell:
        "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {wildcards.key} 2> {log:q}"



rule pack:
    input:
        flow.inputs("pack"),
    output:
        update("artifacts/pack/{key}/manifest.json"),
    log:
        "logs/pack/{key}.log",
    params:
        script=SCRIPTS + "/pack.py",
    wildcard_constraints:
        key=flow.pattern("pack"),
    threads: flow.threads("pack")
    resources:
        mem_mb=flow.memory_mib("pack"),
        runtime=flow.minutes("pack"),
    shell:
        "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {wildcards.key} 2> {log:q}"



rule mixture:
    input:
        flow.inputs("mixture"),
    output:
        update("artifacts/mixture/{key}/manifest.json"),
    log:
        "logs/mixture/{key}.log",
    params:
        script=SCRIPTS + "/mixture.py",
    wildcard_constraints:
        key=flow.pattern("mixture"),
    threads: flow.threads("mixture")
    resources:
        mem_mb=flow.memory_mib("mixture"),
        runtime=flow.minutes("mixture"),
    shell:
        "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {wildcards.key} 2> {log:q}"


# Targets by stage, and what is fetched instead of made.

for stage in STAGES:

    rule:
        name:
            f"stage_{stage}"
        localrule: True
        input:
            flow.wanted(stage),


if flow.fetched:

    rule fetch:
        localrule: True
        output:
            update(flow.fetched),
        log:
            "logs/fetch/wanted.log",
        params:
            work=flow.fetch_keys,
        shell:
            "{PYTHON:q} -m mixlab.cli restore {params.work} 2> {log:q}"


rule fetch_single:
    localrule: True
    output:
        update("artifacts/{name}/manifest.json"),
    log:
        "logs/fetch/{name}.log",
    wildcard_constraints:
        name=flow.single_fetch_pattern,
    params:
        work=lambda wildcards: wildcards.name.split("/")[1],
    shell:
        "{PYTHON:q} -m mixlab.cli restore {params.work} 2> {log:q}"

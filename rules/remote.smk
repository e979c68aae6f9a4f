# Targets by stage, and what is fetched instead of made.

for stage in STAGES:

    rule:
        name:
            f"stage_{stage}"
        input:
            flow.wanted(stage),
        localrule: True


if flow.fetched:

    rule fetch:
        output:
            update(flow.fetched),
        log:
            "logs/fetch/wanted.log",
        localrule: True
        params:
            work=flow.fetch_keys,
        shell:
            "{MIXLAB} restore {params.work} 2> {log}"


rule fetch_single:
    output:
        update("artifacts/{name}/manifest.json"),
    log:
        "logs/fetch/{name}.log",
    wildcard_constraints:
        name=flow.single_fetch_pattern,
    localrule: True
    params:
        work=lambda wildcards: wildcards.name.split("/")[1],
    shell:
        "{MIXLAB} restore {params.work} 2> {log}"

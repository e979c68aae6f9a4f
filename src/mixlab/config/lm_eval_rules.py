"""What of a task of lm-eval decides requests and what decides scores, and which tasks cannot be run here.

Facts about keys, defaults and metrics: lm_eval 0.4.13, `config/task.py`, `api/task.py`, `api/metrics.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixlab.config.generation import SamplingSettings
from mixlab.config.lm_eval_task import DIGEST, FUNCTION, LIKELIHOODS, TaskCode
from mixlab.config.problems import did_you_mean

_LABELS = ("task", "task_alias", "tag", "group", "task_list", "metadata")
_DATA = ("custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs")
"""Where lm-eval would take the data from; here they come from sources of the study."""
_SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
_ASKING = (
    *_SPLITS,
    "process_docs",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "fewshot_config",
    "gen_prefix",
    "output_type",
)
_SCORING = (
    "process_docs",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "target_delimiter",
    "output_type",
    "process_results",
    "metric_list",
    "filter_list",
    *_SPLITS[:3],
)
_OTHER = ("generation_kwargs", "num_fewshot", "repeats", "should_decontaminate", "doc_to_decontamination_query")
_REFUSED = {
    "doc_to_image": "shows images; the engines here read text",
    "doc_to_audio": "plays sound; the engines here read text",
    "use_prompt": "takes its prompt from promptsource; write doc_to_text and doc_to_target",
    "unsafe_code": "runs generated code outside of the sandbox; use a benchmark with the scorer python_tests",
    "class": "is a program, not a task file; only tasks of keys are run",
}
_KINDS = {"metric_list": list, "filter_list": list, "fewshot_config": dict, "generation_kwargs": dict}
_ENTRIES = {"metric_list": ("metric",), "filter_list": ("name", "filter")}
_METRICS = {
    "generate_until": ("exact_match",),
    "multiple_choice": ("acc", "acc_norm"),
    "loglikelihood": ("acc",),
}
"""Metrics of a task that lists none, those of whole data sets left out."""
_OF_ALL_ITEMS = (
    *("bleu", "chrf", "ter", "f1", "mcc", "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"),
    *("brier_score", "likelihood", "bypass"),
)
"""Metrics that have no number for one item, or none that is right or wrong."""
_RUNS_CODE = ("code_eval", "pass_at_k")
_NEW_TOKENS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_GENERATION = ("until", "do_sample", "temperature", "top_p", *_NEW_TOKENS)
MAX_GEN_TOKS = 256
"""lm-eval's longest response where a task says nothing (`defaults.py`)."""


def find_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what keeps a task from being run here, key first."""
    known = (*_LABELS, *_DATA, *_ASKING, *_SCORING, *_OTHER, *_REFUSED)
    for key in config:
        if key not in known:
            yield f"{key}: no key of a task file{did_you_mean(key, known)}"
    for key, kind in _KINDS.items():
        value = config.get(key)
        if value is not None and not isinstance(value, kind):
            yield f"{key}: expected {'a list' if kind is list else 'keys'}, got {value!r:.60}"
        for one in value if kind is list and isinstance(value, list) else ():
            if not isinstance(one, Mapping) or not all(name in one for name in _ENTRIES[key]):
                yield f"{key}: each entry needs {' and '.join(_ENTRIES[key])}, got {one!r:.60}"
    for key, why in _REFUSED.items():
        if config.get(key):
            yield f"{key}: the task {why}"
    output = config.get("output_type") or "generate_until"
    if output == "loglikelihood_rolling":
        yield f"output_type: {output} measures the perplexity of whole texts; `validation` of a training does"
    elif output not in _METRICS:
        yield f"output_type: {output!r} is none of {', '.join(_METRICS)}{did_you_mean(str(output), _METRICS)}"
    if (config.get("repeats") or 1) != 1:
        yield f"repeats: {config['repeats']}; write 1, and `samples` beside `lm_eval` in the study"
    for key in ("doc_to_text", "doc_to_target"):
        if config.get(key) is None:
            yield f"{key}: is missing"
    if not any(config.get(key) for key in ("test_split", "validation_split")):
        yield "test_split: is missing, and validation_split too: one names the items that are asked"


def find_split(config: Mapping[str, Any]) -> str:
    """Return the split whose documents are asked."""
    return str(config.get("test_split") or config.get("validation_split"))


def needs_examples(config: Mapping[str, Any], num_fewshot: int) -> bool:
    """Whether worked examples come from another split than the items."""
    chosen = config.get("fewshot_config") or {}
    if num_fewshot == 0 or (chosen.get("samples") is not None and not _find_pool(config, chosen)):
        return False
    pool = _find_pool(config, chosen) or config.get("training_split") or config.get("validation_split")
    return pool is not None and pool != find_split(config)


def _find_pool(config: Mapping[str, Any], chosen: Mapping[str, Any]) -> Any:
    return chosen.get("split") or config.get("fewshot_split")


def select_asking(config: Mapping[str, Any], num_fewshot: int) -> dict[str, Any]:
    """Return the keys that decide the requests; without worked examples those of the examples decide nothing."""
    kept = {key: config[key] for key in _ASKING if config.get(key) is not None}
    if num_fewshot == 0:
        for key in ("training_split", "fewshot_split", "fewshot_config"):
            kept.pop(key, None)
    if _asks_unconditionally(config):
        # half of the requests are there for this metric
        kept["metric_list"] = [one for one in config["metric_list"] if one.get("metric") == "acc_mutual_info"]
    return kept


def _asks_unconditionally(config: Mapping[str, Any]) -> bool:
    return any(isinstance(one, Mapping) and one.get("metric") == "acc_mutual_info" for one in _list_metrics(config))


def _list_metrics(config: Mapping[str, Any]) -> list[Any]:
    listed = config.get("metric_list")
    return listed if isinstance(listed, list) else []


def name_metrics(config: Mapping[str, Any]) -> list[str]:
    """Name the metrics of a task in their order."""
    names = [one.get("metric") for one in _list_metrics(config) if isinstance(one, Mapping)]
    told = [str(name[FUNCTION] if isinstance(name, Mapping) else name) for name in names]
    return told or list(_METRICS.get(config.get("output_type") or "generate_until", ()))


def name_filters(config: Mapping[str, Any]) -> list[str]:
    """Name the filters of a task in their order; one without filters has lm-eval's own, `none`."""
    listed = config.get("filter_list")
    return (
        [str(one.get("name")) for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else ["none"]
    )


def find_metric_problems(config: Mapping[str, Any], metric: str) -> Iterator[str]:
    """Yield why the chosen metric cannot score items one by one."""
    entry: Mapping[str, Any] = next(
        (one for one in _list_metrics(config) if metric in (name_metrics({"metric_list": [one]}))), {}
    )
    if metric in _RUNS_CODE:
        yield f"metric {metric} runs generated code; use a benchmark with the scorer python_tests"
    elif entry.get("hf_evaluate"):
        yield f"metric {metric} is loaded by the library evaluate, which asks the network; choose another `metric`"
    elif metric in _OF_ALL_ITEMS:
        yield f"metric {metric} says nothing of one item in [0, 1]; choose another `metric`"
    elif entry.get("higher_is_better") is False:
        yield f"metric {metric} is better where it is lower; choose another `metric`"
    elif entry.get("aggregation", "mean") != "mean":
        yield f"metric {metric} is aggregated by {_render(entry['aggregation'])}; here every mean is one over items"
    others = [name for name in name_metrics(config) if name in _RUNS_CODE and name != metric]
    if others:
        yield f"metric_list: {', '.join(others)} runs generated code; remove it by a task file that includes this one"


def _render(value: Any) -> str:
    return str(value[FUNCTION] if isinstance(value, Mapping) and FUNCTION in value else value)


def select_scoring(config: Mapping[str, Any], filter_name: str, metric: str) -> dict[str, Any]:
    """Return the keys that decide the scores under one filter and one metric."""
    kept = {key: config[key] for key in _SCORING if config.get(key) is not None}
    if "filter_list" in kept:
        kept["filter_list"] = [one for one in kept["filter_list"] if one.get("name") == filter_name]
    if "metric_list" in kept:
        wanted = {metric, "acc_mutual_info"} if _asks_unconditionally(config) else {metric}
        kept["metric_list"] = [
            one for one in kept["metric_list"] if wanted.intersection(name_metrics({"metric_list": [one]}))
        ]
    return kept


def select_code(config: Any, code: Mapping[str, TaskCode]) -> tuple[TaskCode, ...]:
    """Return the files whose functions a part of a task names, by digest."""
    return tuple(code[digest] for digest in sorted(set(_find_digests(config))))


def _find_digests(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {FUNCTION, DIGEST}:
            yield str(value[DIGEST])
            return
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _find_digests(one)


def read_sampling(config: Mapping[str, Any]) -> SamplingSettings:
    """Return how responses to a task are drawn; raises ValueError for what no engine here has.

    As in lm-eval, `do_sample: false` is greedy whatever the temperature, and a task without `until` stops at its
    fewshot_delimiter, which is a blank line.
    """
    if (config.get("output_type") or "generate_until") in LIKELIHOODS:
        return SamplingSettings(max_new_tokens=1, long_prompts="refuse")
    told = config.get("generation_kwargs") or {}
    if not isinstance(told, Mapping):
        raise ValueError(f"generation_kwargs: expected keys, got {told!r}")
    # one beam is greedy decoding by another name
    strange = [
        f"{key}: {told[key]!r}" for key in told if key not in _GENERATION and (key, told[key]) != ("num_beams", 1)
    ]
    if strange:
        raise ValueError(f"generation_kwargs: no engine here has {', '.join(strange)}; there are {_say(_GENERATION)}")
    lengths = [told[key] for key in _NEW_TOKENS if key in told]
    until = told.get("until", [config.get("fewshot_delimiter", "\n\n")])
    temperature = float(told.get("temperature") or (1.0 if told.get("do_sample") else 0.0))
    if told.get("do_sample") is False:
        temperature = 0.0
    return SamplingSettings(
        max_new_tokens=lengths[0] if lengths else MAX_GEN_TOKS,
        temperature=temperature,
        top_p=float(told.get("top_p", 1.0)) if temperature else 1.0,
        stop=tuple(dict.fromkeys([until] if isinstance(until, str) else until)),
    )


def _say(names: Sequence[str]) -> str:
    return ", ".join(names)

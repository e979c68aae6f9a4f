"""GSM8K and its relatives, as the data say, established by other means; and leaks planted among real records."""

import json
import re
import unicodedata

import pytest
from contamination import main_text, read_benchmarks, read_decoys, run_study
from filtering import dialogue
from leaks import LIGHT, is_japanese

from mixlab.config.filters import ContaminationSettings
from mixlab.data.overlap.contamination import write_contamination

pytestmark = pytest.mark.shared


def read_gsm8k(folder, part):
    lines = (folder / f"benchmarks/gsm8k/{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def split_words(text):
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"(?<=\w)['’](?=\w)", "", re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text))
    return re.findall(r"[^\W_]+", text)


def cut(words, size=13):
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def search(folder, records, items):
    benchmark = [{"id": str(at), **item} for at, item in enumerate(items)]
    write_contamination(ContaminationSettings(), enumerate(records), [benchmark], folder)
    hits = [json.loads(line) for line in (folder / "hits.jsonl").read_text().splitlines()]
    return hits, json.loads((folder / "index.json").read_text())


def test_mgsm_en_is_the_first_250_questions_of_gsm8k(tmp_path, shared_data):
    test = read_gsm8k(shared_data, "test")
    lines = (shared_data / "benchmarks/mgsm/mgsm_en.tsv").read_text(encoding="utf-8").splitlines()
    questions = [line.split("\t")[0] for line in lines]
    assert [split_words(one) for one in questions] == [split_words(item["question"]) for item in test[:250]]
    hits, index = search(tmp_path, [dialogue(question, "?") for question in questions], test)
    assert [(hit["record"], hit["item"], hit["field"], hit["share"]) for hit in hits] == [
        (at, str(at), "question", 1.0) for at in range(250)
    ]
    (told,) = index["benchmarks"]
    assert [told[f"items{name}"] for name in ("", "_compared", "_hit")] == [1319, 1319, 250]
    assert told["records_hit"] == 250


def test_gsm8k_train_holds_no_test_question_and_variants_of_three(tmp_path, shared_data):
    train, test = read_gsm8k(shared_data, "train"), read_gsm8k(shared_data, "test")
    asked = {tuple(split_words(item["question"])) for item in test}
    assert not asked & {tuple(split_words(item["question"])) for item in train}
    grams = {gram for item in train for gram in cut(split_words(item["question"]))}
    shared = {at for at, item in enumerate(test) if grams & set(cut(split_words(item["question"])))}
    assert shared == {581, 602, 632}
    hits, index = search(tmp_path, [dialogue(item["question"], item["answer"]) for item in train], test)
    by_question = {(hit["record"], int(hit["item"])) for hit in hits if hit["field"] == "question"}
    assert by_question == {(20, 632), (406, 581), (1314, 602), (5162, 602)}
    by_answer = {(hit["record"], int(hit["item"])) for hit in hits if hit["field"] == "answer"}
    assert by_answer == {(3687, 728), (5003, 18), (5456, 704)}
    assert index["contaminated"] == 7
    assert max(hit["share"] for hit in hits) < 0.9


def test_shares_are_those_of_a_search_without_hashes(tmp_path, shared_data):
    train = read_gsm8k(shared_data, "train")
    records, items = train[:500] + train[1300:1320] + train[5000:5010], read_gsm8k(shared_data, "test")[560:640]
    hits, _index = search(tmp_path, [dialogue(row["question"], row["answer"]) for row in records], items)
    told = {(hit["record"], int(hit["item"]), hit["share"]) for hit in hits}
    assert len(told) == 3
    for record, item, share in told:
        question = split_words(items[item]["question"])
        in_record = cut(split_words(records[record]["question"]))
        counted = [
            any(sum(a != b for a, b in zip(gram, other, strict=True)) <= 1 for other in in_record)
            for gram in cut(question)
            if len({word for word in gram if len(word) > 1 and not word.isdigit()}) >= 6
        ]
        assert share == round(sum(counted) / len(counted), 4)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_leaks_of_real_items_are_found_among_records_on_the_same_topics(shared_data, language):
    decoys = read_decoys(shared_data)[language][::5]
    benchmarks = {
        name: items
        for name, items in read_benchmarks(shared_data).items()
        if is_japanese(main_text(items[0])) == (language == "ja")
    }
    figures = run_study(ContaminationSettings(), benchmarks, decoys, language, 150)
    wrong = figures.flagged - figures.verbatim
    for kind, (found, planted) in figures.found.items():
        recall, precision = found / planted, found / (found + wrong)
        print(f"{language}, {kind}: recall {recall:.3f}, precision {precision:.3f}")
        assert kind not in LIGHT or (recall >= 0.95 and precision >= 0.95)

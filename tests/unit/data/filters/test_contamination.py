"""The search for benchmark items: planted leaks, what does not count, odd input, bytes."""

import hashlib
import json
import random

import pytest
from filtering import dialogue, texts
from hypothesis import given
from hypothesis import strategies as st
from leaks import KINDS, LIGHT, collect_vocabulary, invent_item, make_leak

from mixlab.config.filters import ContaminationSettings
from mixlab.data.overlap.contamination import write_contamination
from mixlab.data.overlap.units import BLOCK_CHARACTERS

QUESTION = "A gardener plants seven rows of tulips behind the old mill and waters every row twice a day."
QUESTION_JA = "庭師は古い水車小屋の裏にチューリップを七列植えて、毎日二回ずつすべての列に水をやります。"


def items(*questions: str, **more: str) -> list[dict]:
    return [{"id": f"q{at}", "question": question, **more} for at, question in enumerate(questions)]


def search(folder, records, *benchmarks, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    write_contamination(ContaminationSettings(**settings), enumerate(records), benchmarks, folder)
    hits = [json.loads(line) for line in (folder / "hits.jsonl").read_text(encoding="utf-8").splitlines()]
    return hits, json.loads((folder / "index.json").read_text())


def found(folder, records, *benchmarks, **settings):
    hits, _index = search(folder, records, *benchmarks, **settings)
    return [(hit["record"], hit["benchmark"], hit["item"]) for hit in hits]


@pytest.mark.parametrize("japanese", [False, True], ids=["en", "ja"])
def test_planted_leaks_are_found_among_decoys(tmp_path, japanese):
    rng = random.Random(f"study {japanese}")
    invented = [invent_item(rng, japanese) for _ in range(100)]
    decoys = [invent_item(rng, japanese) for _ in range(500)]
    vocabulary = collect_vocabulary(invented, japanese)
    _hits, index = search(tmp_path / "decoys", texts(*decoys), items(*invented))
    wrong = index["contaminated"]
    for kind in KINDS:
        leaks = [f"Q: {make_leak(kind, question, rng, vocabulary)} A:" for question in invented]
        right = {(at, 0, f"q{at}") for at in range(len(leaks))} & set(
            found(tmp_path / kind, texts(*leaks), items(*invented))
        )
        recall, precision = len(right) / len(leaks), len(right) / max(1, len(right) + wrong)
        print(f"{kind}: recall {recall:.3f}, precision {precision:.3f}")
        if kind in LIGHT:
            assert recall >= 0.95 and precision >= 0.95, kind


def test_the_report_says_what_was_found_where(tmp_path):
    other = "Nothing of this sentence is in any record of the source that is searched here today."
    records = [*texts("Nothing."), dialogue("Hello there.", f"Sure: {QUESTION}"), *texts(QUESTION_JA + QUESTION)]
    hits, index = search(tmp_path, records, items(other, QUESTION, answer="18"), items(QUESTION_JA))
    assert hits == [
        {"record": 1, "benchmark": 0, "item": "q1", "field": "question", "share": 1.0},
        {"record": 2, "benchmark": 0, "item": "q1", "field": "question", "share": 1.0},
        {"record": 2, "benchmark": 1, "item": "q0", "field": "question", "share": 1.0},
    ]
    lacking = {"items_short": 0, "items_plain": 0, "items_common": 0}
    assert index == {
        "records": 3,
        "contaminated": 2,
        "benchmarks": [
            {"items": 2, "items_compared": 2, **lacking, "items_hit": 1, "records_hit": 2},
            {"items": 1, "items_compared": 1, **lacking, "items_hit": 1, "records_hit": 1},
        ],
    }


def test_an_item_that_is_cut_in_half_by_turns_is_found_only_by_what_stands_in_one(tmp_path):
    words = QUESTION.split()
    assert found(tmp_path / "1", [dialogue(" ".join(words[:9]), " ".join(words[9:]))], items(QUESTION)) == []
    assert found(tmp_path / "2", [dialogue(" ".join(words[:14]), "yes")], items(QUESTION)) != []


def test_any_field_and_any_text_of_a_list_counts_on_its_own(tmp_path):
    item = {"id": "1", "category": "math", "turns": ["Short one.", QUESTION], "answer": QUESTION_JA}
    hits, _index = search(tmp_path, texts(QUESTION_JA, QUESTION), [item])
    assert [(hit["record"], hit["field"]) for hit in hits] == [(0, "answer"), (1, "turns")]


def test_boilerplate_of_a_benchmark_does_not_count(tmp_path):
    frame = "Answer the following question about a story that somebody told in our little village: {}"
    questions = [frame.format(f"why did the {word} cross the river?") for word in ("cat", "dog", "hen", "cow", "pig")]
    record = texts(frame.format("is it true?"))
    assert found(tmp_path / "5", record, items(*questions)) == []
    assert found(tmp_path / "3", record, items(*questions[:3])) != []
    assert found(tmp_path / "9", record, items(*questions), common_items=5) != []


def test_numbers_and_idioms_of_code_do_not_count(tmp_path):
    code = "for i in range(len(a)): for j in range(i): if a[i] > a[j]: a[i], a[j] = a[j], a[i]"
    numbers = " ".join(map(str, range(40)))
    _hits, index = search(tmp_path, texts(code, numbers), items(code, numbers))
    assert index["contaminated"] == 0
    assert told(index) == [0, 0, 2, 0]


def told(index):
    """Items compared, too short, of too few telling units, of boilerplate."""
    (benchmark,) = index["benchmarks"]
    return [benchmark[f"items_{name}"] for name in ("compared", "short", "plain", "common")]


@pytest.mark.parametrize(
    "question",
    [
        "Janet 東 has 16 ducks that lay eggs daily, eats three for breakfast and bakes muffins for all of her friends.",
        'def mean(values): """Return the 平均 of a list of measured values, or nothing when that list is empty."""',
        "The sushi bar のり serves seven guests an hour from noon until the evening bell rings over the harbour.",
    ],
)
def test_an_english_item_with_a_little_japanese_is_searched_like_any_other(tmp_path, question):
    words = question.split()
    edited = " ".join(["other" if at == len(words) // 2 else word for at, word in enumerate(words)])
    records = texts("Solve: " + question.upper() + " Thanks.", edited, " ".join(reversed(words)))
    hits, index = search(tmp_path, records, items(question))
    assert [hit["record"] for hit in hits] == [0, 1]
    assert told(index) == [1, 0, 0, 0]


@pytest.mark.parametrize("marks", ["東", "平均", "のり"])
def test_leaks_of_items_with_a_little_japanese_are_found_among_decoys(tmp_path, marks):
    rng = random.Random(f"mixed {marks}")

    def invent() -> str:
        words = invent_item(rng, japanese=False).split()
        return " ".join([*words[: (at := rng.randrange(len(words)))], marks, *words[at:]])

    invented, decoys = [invent() for _ in range(100)], [invent() for _ in range(500)]
    vocabulary = collect_vocabulary(invented, japanese=False)
    wrong = search(tmp_path / "decoys", texts(*decoys), items(*invented))[1]["contaminated"]
    for kind in LIGHT:
        leaks = [f"Q: {make_leak(kind, question, rng, vocabulary)} A:" for question in invented]
        right = {(at, 0, f"q{at}") for at in range(100)} & set(found(tmp_path / kind, texts(*leaks), items(*invented)))
        assert len(right) >= 95 and len(right) / (len(right) + wrong) >= 0.95, kind


def test_both_the_code_and_the_japanese_of_an_item_are_looked_for(tmp_path):
    code = "def rows_of(garden, gardener, mill): return [water(row, twice_a_day) for row in garden if row.behind(mill)]"
    item = items(f'{code}\n"""{QUESTION_JA}"""')
    assert len(found(tmp_path, texts(code, QUESTION_JA), item)) == 2


def test_items_that_are_not_compared_say_why(tmp_path):
    frame = "Answer the following question about a story that somebody told in our little village, please."
    plain = " ".join(map(str, range(40)))
    questions = [frame] * 4 + [plain, "Too short.", "短い"]
    _hits, index = search(
        tmp_path, texts(frame), [*items(*questions), {"id": "none"}, {"id": "", "turns": ["a", plain]}]
    )
    assert told(index) == [0, 3, 2, 4]


def test_a_short_text_is_compared_as_a_whole_and_a_shorter_one_not_at_all(tmp_path):
    whole = "Name eight famous rivers flowing through southern Europe."
    short = "How many apples are left?"
    records = texts(f"Please. {whole.upper()} Thanks", f"{short} {short}", "Name eight famous rivers flowing north")
    hits, index = search(tmp_path, records, items(whole, short, "図書館で静かに本を読んだ", "はい"))
    assert [(hit["record"], hit["item"]) for hit in hits] == [(0, "q0")]
    assert told(index) == [2, 2, 0, 0]


def test_a_leak_of_a_small_part_counts_from_the_stated_share_on(tmp_path):
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefgh", k=5)) for _ in range(112)]
    item, part = items(" ".join(words)), texts(" ".join(words[:27]))
    hits, _index = search(tmp_path / "1", part, item)
    assert [hit["share"] for hit in hits] == [0.15]
    assert search(tmp_path / "2", part, item, least_share="16/100")[0] == []
    assert search(tmp_path / "3", texts(" ".join(words[:26])), item)[0] == []


def test_one_word_of_an_ngram_may_differ_and_no_two(tmp_path):
    words = QUESTION.rstrip(".").split()[:13]
    for changed, expected in (([], 1), ([0], 1), ([6], 1), ([12], 1), ([3, 9], 0)):
        record = " ".join("other" if at in changed else word for at, word in enumerate(words))
        assert len(found(tmp_path / str(changed), texts(record), items(" ".join(words)))) == expected, changed


def test_nothing_is_found_across_records_or_texts_and_order_does_not_matter(tmp_path):
    rng = random.Random(6)
    questions = [invent_item(rng, at % 2 == 1) for at in range(20)]
    halves = [
        half for question in questions for half in (question[: len(question) // 4], question[len(question) // 4 :])
    ]
    one = set(found(tmp_path / "1", texts(*halves, *questions), items(*questions), least_share=1))
    assert {hit for hit in one if hit[0] >= 40} == {(40 + at, 0, f"q{at}") for at in range(20)}
    assert {hit for hit in one if hit[0] < 40} == set()
    back = found(tmp_path / "2", texts(*reversed(questions)), items(*questions))
    assert {(19 - record, item) for record, _b, item in back} >= {(at, f"q{at}") for at in range(20)}


def test_a_leak_is_found_wherever_it_lies_in_a_huge_record(tmp_path):
    filler = "lorem ipsum " * (BLOCK_CHARACTERS // 12)
    for place in (BLOCK_CHARACTERS - 40, BLOCK_CHARACTERS, BLOCK_CHARACTERS + 700):
        text = (filler + filler)[:place] + " " + QUESTION + filler
        hits, _index = search(tmp_path / str(place), texts("first", text, "last"), items(QUESTION))
        assert [(hit["record"], hit["share"]) for hit in hits] == [(1, 1.0)]


@pytest.mark.parametrize("text", ["", "...!?", "\x00" * 50, "\ud800\udfff", "\x1e\x1e\x1e", "ｶﾞ" * 40, "あ" * 3000])
def test_odd_records_are_searched_like_any_other(tmp_path, text):
    records = texts(text, QUESTION, text + QUESTION + text)
    assert found(tmp_path, records, items(QUESTION, text or "x"))[:1] == [(1, 0, "q0")] or "あ" in text or "ｶﾞ" in text


def test_sources_without_records_and_studies_without_benchmarks_give_empty_reports(tmp_path):
    assert search(tmp_path / "1", [], items(QUESTION))[1]["records"] == 0
    assert search(tmp_path / "2", texts(QUESTION))[1] == {"records": 1, "contaminated": 0, "benchmarks": []}
    assert search(tmp_path / "3", texts(QUESTION), [])[1]["benchmarks"][0]["items"] == 0


@given(st.lists(st.text(max_size=80), max_size=6), st.lists(st.text(max_size=80), max_size=4))
def test_any_text_can_be_searched_for_any_text(tmp_path_factory, records, questions):
    folder = tmp_path_factory.mktemp("any")
    hits, index = search(folder, texts(*records), items(*questions), words=4, characters=4, shortest_words=1)
    assert index["records"] == len(records)
    assert all(0 < hit["share"] <= 1 for hit in hits)


def test_the_report_is_the_same_on_every_machine(tmp_path):
    rng = random.Random(8)
    questions = [invent_item(rng, at % 2 == 0) for at in range(60)]
    vocabulary = {japanese: collect_vocabulary(questions, japanese) for japanese in (False, True)}
    kinds = [KINDS[at % len(KINDS)] for at in range(60)]
    pairs = zip(questions, kinds, strict=True)
    leaks = [make_leak(kind, text, rng, vocabulary[at % 2 == 0]) for at, (text, kind) in enumerate(pairs)]
    search(tmp_path, texts(*leaks), items(*questions[:30]), items(*questions[30:]))
    digest = hashlib.sha256()
    for name in ("hits.jsonl", "records.npy", "index.json"):
        digest.update((tmp_path / name).read_bytes())
    assert digest.hexdigest()[:16] == "7869b127f65cc17e"

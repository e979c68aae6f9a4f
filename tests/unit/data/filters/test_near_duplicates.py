"""Near-duplicates: planted pairs of known similarity, clusters, other sources, bytes, odd input."""

import hashlib
import random
from fractions import Fraction

import numpy as np
import pytest
from duplicates import find_ours, invent_texts, jaccard, judge, plant_pairs
from filtering import apply_filter, dialogue, texts
from pydantic import ValidationError

from mixlab.config.filters import NearDuplicates
from mixlab.data.filters.near import choose_bands
from mixlab.data.filters.shingles import MOST_SHINGLES, shingle_long, shingle_texts

EARLIER, ELSEWHERE = "near duplicate of an earlier record", "near duplicate of another source"


def words(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefghij", k=6)) for _ in range(count)]


def kana(seed: int, count: int) -> str:
    return "".join(chr(code) for code in random.Random(seed).choices(range(0x4E00, 0x5E00), k=count))


@pytest.mark.parametrize("japanese", [False, True], ids=["en", "ja"])
def test_planted_pairs_from_the_threshold_on_are_found_and_nothing_else(japanese):
    corpus = plant_pairs(invent_texts(500, japanese), 200, japanese, seed=7)
    figures = judge(corpus, find_ours(corpus.texts))
    print(figures)
    assert figures.pairs >= 60
    assert figures.recall >= 0.95 and figures.precision >= 0.95
    assert figures.between == 0


def test_reported_similarity_is_the_jaccard_index_of_shingles(tmp_path):
    one = words(1, 60)
    other = [*one[:30], "other", *one[31:]]
    done = apply_filter(tmp_path, NearDuplicates(), texts(" ".join(one), "\n".join(other)))
    assert done.rows == [{"record": 1, "reason": EARLIER, "duplicate_of": 0, "similarity": 0.8361}]
    assert round(jaccard(" ".join(one), " ".join(other)), 4) == 0.8361


def test_the_first_of_a_cluster_stays_also_where_only_a_chain_leads_to_it(tmp_path):
    one = words(2, 80)
    two = [*one[:20], "x", *one[21:]]
    three = [*two[:40], "y", *two[41:]]
    done = apply_filter(tmp_path, NearDuplicates(), texts(*(" ".join(each) for each in (one, two, three))))
    assert [(row["record"], row["duplicate_of"]) for row in done.rows] == [(1, 0), (2, 0)]
    assert done.rows[0]["similarity"] >= 0.8 > done.rows[1]["similarity"]


def test_layout_case_and_width_do_not_matter(tmp_path):
    text = " ".join(words(3, 30))
    japanese = kana(4, 40) + "12ガ"
    records = texts(
        text, f"  {text.upper()}!", japanese, "、".join(japanese).replace("12", "１２").replace("、２", "２")
    )
    done = apply_filter(tmp_path, NearDuplicates(), records)
    assert [row["record"] for row in done.rows] == [1, 3]


def test_other_sources_come_first_and_their_own_duplicates_are_not_reported(tmp_path):
    text, more = " ".join(words(5, 40)), kana(6, 50)
    others = [texts(more, more), [dialogue(text, "ok then")]]
    records = texts(more, text + " ok then", " ".join(words(7, 40)))
    done = apply_filter(tmp_path, NearDuplicates(), records, against=others)
    assert done.rows == [
        {"record": 0, "reason": ELSEWHERE, "duplicate_of": 0, "source": 0, "similarity": 1.0},
        {"record": 1, "reason": ELSEWHERE, "duplicate_of": 0, "source": 1, "similarity": 1.0},
    ]


def test_records_excluded_before_do_not_count(tmp_path):
    text = " ".join(words(8, 40))
    done = apply_filter(tmp_path, NearDuplicates(), texts(text, "x y", text, text), before=[0, 1])
    assert done.excluded == [0, 1, 3]
    assert done.rows[0]["duplicate_of"] == 2


def test_text_without_words_is_never_a_duplicate_and_short_text_is_compared_whole(tmp_path):
    records = texts("...", "!?", "\x00", "\ud800", "", "two words", "Two, words", "two", "漢字", "漢字。", "漢")
    assert apply_filter(tmp_path, NearDuplicates(), records).excluded == [6, 9]


def test_the_report_is_the_same_on_every_machine(tmp_path):
    corpus = plant_pairs(invent_texts(60, True) + invent_texts(60, False), 60, True, seed=3)
    done = apply_filter(tmp_path, NearDuplicates(), texts(*corpus.texts))
    digest = hashlib.sha256((done.folder / "exclusions.jsonl").read_bytes()).hexdigest()
    assert (len(done.excluded), digest[:16]) == (31, "8f0db2c8a46c87a9")


def test_seeds_and_thresholds_decide(tmp_path):
    corpus = plant_pairs(invent_texts(150, False), 75, False, seed=4)
    found = {
        at: len(apply_filter(tmp_path / str(at), NearDuplicates(threshold=at), texts(*corpus.texts)).excluded)
        for at in ("1/2", "4/5", "1")
    }
    assert found["1/2"] > found["4/5"] > found["1"]
    with pytest.raises(ValidationError, match="greater than or equal to 1/2"):
        NearDuplicates(threshold="1/3")


def test_bands_reach_the_wanted_recall_with_as_few_candidates_as_can_be():
    assert choose_bands(Fraction(4, 5), 128) == (21, 6)
    for threshold in (0.5, 0.7, 0.9, 1.0):
        for permutations in (32, 128, 256):
            bands, rows = choose_bands(Fraction(threshold), permutations)
            assert bands * rows <= permutations
            assert 1 - (1 - threshold**rows) ** bands >= 0.99


def test_a_huge_document_has_the_shingles_of_its_parts_up_to_a_fair_sample(monkeypatch):
    settings = NearDuplicates()
    text = " ".join(words(9, 200_000))
    whole, _counts = shingle_texts(settings, [[text]])
    pieces, counts = shingle_long(settings, [text])
    assert counts.tolist() == [len(pieces)]
    assert len(np.intersect1d(whole, pieces)) / len(np.union1d(whole, pieces)) > 0.9999
    monkeypatch.setattr("mixlab.data.filters.shingles.MOST_SHINGLES", 1000)
    sample, _counts = shingle_long(settings, [text])
    assert sample.tolist() == pieces[:1000].tolist()
    assert MOST_SHINGLES * 4 < 2**23

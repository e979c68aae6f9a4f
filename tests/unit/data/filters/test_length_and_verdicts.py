"""Length by tokenizer; contamination and labels, carried out."""

import json

import numpy as np
import pytest
from filtering import apply_filter, dialogue, texts
from pydantic import ValidationError

from mixlab.config.filters import ContaminationFilter, LabelFilter, Length
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    sample = texts("the cat sat on the mat. " * 20, "吾輩は猫である。名前はまだ無い。" * 20)
    train_tokenizer(TokenizerSettings(vocab_size=320), [sample], folder)
    return folder


def count(folder, text: str) -> int:
    tokenizer = load_tokenizer(folder)
    tokenizer.encode_special_tokens = True
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def test_records_outside_of_the_limits_are_left_out_with_their_tokens(tmp_path, tokenizer):
    record = dialogue("the cat", "吾輩は<|end|>猫")
    tokens = count(tokenizer, "the cat") + count(tokenizer, "吾輩は<|end|>猫")
    records = [*texts("a"), record, *texts("b" * 400)]
    done = apply_filter(tmp_path / "1", Length(min_tokens=tokens, max_tokens=tokens), records, tokenizer=tokenizer)
    assert [(row["record"], row["reason"]) for row in done.rows] == [(0, "too short"), (2, "too long")]
    assert done.rows[0]["tokens"] == 1
    done = apply_filter(tmp_path / "2", Length(min_tokens=tokens + 1), records, tokenizer=tokenizer)
    assert done.excluded == [0, 1]
    done = apply_filter(tmp_path / "3", Length(max_tokens=tokens - 1), records, tokenizer=tokenizer)
    assert done.excluded == [1, 2]


def test_a_huge_text_is_not_counted_further_than_the_limit(tmp_path, tokenizer):
    records = texts("x" * 10_000_000, "ok", "the cat sat " * 20_000)
    done = apply_filter(tmp_path, Length(max_tokens=100_000), records, tokenizer=tokenizer)
    assert done.excluded == [0]
    assert 100_000 < done.rows[0]["tokens"] < 200_000


def test_limits_without_room_are_refused():
    with pytest.raises(ValidationError, match="no record fits"):
        Length(min_tokens=5, max_tokens=4)
    with pytest.raises(ValidationError, match="needs `min_tokens`"):
        Length()


def write_hits(folder, *hits):
    with (folder / "hits.jsonl").open("w") as file:
        for record, benchmark, item, share in hits:
            row = {"record": record, "benchmark": benchmark, "item": item, "field": "question", "share": share}
            file.write(json.dumps(row) + "\n")
    np.save(folder / "records.npy", np.unique([hit[0] for hit in hits]).astype(np.int64))
    return folder


def test_contaminated_records_are_dropped_with_the_item_found_most_of(tmp_path):
    folder = write_hits(tmp_path, (0, 1, "a", 0.5), (2, 0, "b", 0.3), (2, 1, "c", 0.9), (2, 1, "d", 0.9))
    settings = ContaminationFilter(on_found="drop")
    done = apply_filter(tmp_path, settings, texts(*"wxyz"), before=[0], contamination=folder)
    row = {"record": 2, "reason": "contaminated", "benchmark": 1, "item": "c", "field": "question", "share": 0.9}
    assert done.rows == [row]
    assert done.excluded == [0, 2]


def test_contamination_that_is_to_fail_tells_the_worst_items_and_the_cure(tmp_path):
    hits = [(at, 0, f"item{at % 14}", 0.2 + at / 100) for at in range(20)]
    folder = write_hits(tmp_path, *hits)
    settings = ContaminationFilter(on_found="fail")
    with pytest.raises(DataError) as caught:
        apply_filter(tmp_path, settings, texts(*map(str, range(30))), contamination=folder)
    lines = str(caught.value).splitlines()
    assert "20 records hold 14 benchmark items" in lines[0] and "on_found: drop" in lines[0]
    assert lines[1] == "benchmark 1, item item5: 39% of its n-grams found, in 2 records"
    assert lines[-1] == "and 4 more items" and len(lines) == 12
    with pytest.raises(DataError, match="benchmark mine/source/gsm8k, item item5: 39%"):
        names = ["mine/source/gsm8k"]
        apply_filter(tmp_path, settings, texts(*map(str, range(30))), contamination=folder, benchmarks=names)
    everything = apply_filter(tmp_path / "gone", settings, texts(*map(str, range(30))), range(20), contamination=folder)
    assert everything.index["records"] == 10


def test_one_category_stays_and_unreadable_labels_are_told_apart(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 1, 2, 3, 254, 255, 2], np.uint8))
    done = apply_filter(tmp_path, LabelFilter(category="math"), texts(*"abcdefg"), before=[5], labels=tmp_path)
    assert done.excluded == [0, 1, 3, 4, 5]
    assert done.index["reasons"] == {
        "labelled code": 1,
        "labelled general": 1,
        "labelled reasoning": 1,
        "label unparsable": 1,
    }


def test_a_record_that_was_not_asked_about_is_an_error(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([2, 255], np.uint8))
    with pytest.raises(DataError, match="record 1 has no label"):
        apply_filter(tmp_path, LabelFilter(category="math"), texts("a", "b"), labels=tmp_path)


def test_a_category_may_have_no_records(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 0, 254], np.uint8))
    done = apply_filter(tmp_path, LabelFilter(category="math"), texts("a", "b", "c"), labels=tmp_path)
    assert done.index["records"] == 0
    assert done.index["reasons"] == {"label unparsable": 1, "labelled code": 2}

"""Personal data: what is found, and what only looks like it."""

import pytest
from filtering import apply_filter, dialogue, texts

from mixlab.config.filters import PERSONAL_KINDS, PersonalData
from mixlab.config.problems import DataError
from mixlab.data.filters.patterns import passes_luhn, passes_my_number
from mixlab.data.filters.personal import count_personal
from mixlab.data.overlap.units import BLOCK_CHARACTERS, OVERLAP_CHARACTERS

FINDS = [
    ("email", "write to jane.doe+news@mail.uni-jena.de."),
    ("email", "連絡先はtaro_yamada@gmail.comです"),
    ("email", "メール：ｔaro＠docomo.ne.jp"),
    ("phone", "電話は03-5253-1111です"),
    ("phone", "携帯（090-3141-5926）へ"),
    ("phone", "携帯09031415926まで"),
    ("phone", "ＴＥＬ ０６−６９４１−０３５１"),
    ("phone", "+81 90 3141 5926"),
    ("phone", "Call (415) 867-5309 now"),
    ("phone", "call 1-415-867-5309."),
    ("phone", "London: +44 20 7946 1234"),
    ("credit_card", "card 4539 1488 0343 6467, exp 01/27"),
    ("credit_card", "カード番号は5425233430109903です"),
    ("credit_card", "amex 3714 496353 98456"),
    ("ip_address", "login from 81.2.69.142 failed"),
    ("ip_address", "host 2606:4700:4700:0:0:0:0:1111 is up"),
    ("my_number", "マイナンバー：1234 5678 9018"),
    ("my_number", "個人番号は123456789018です"),
    ("postal_address", "〒100-0013 です"),
    ("postal_address", "東京都千代田区霞が関3丁目"),
    ("postal_address", "神奈川県横浜市中区本町６−５０−１０"),
    ("postal_address", "Ship to 1600 Amphitheatre Parkway Ave, Mountain View, CA 94043."),
]
DECOYS = [
    "the decorator @property and foo@bar, a@b.c, user@example.com, noreply@company.co.jp, icon@2x.png",
    "git@github.com:owner/name.git and x = a@b.T and me@localhost",
    "2023-10-05, 10:30:00, 1,234,567 and 3.14159265358979 and ISBN 978-4-06-519981-7",
    "パイは03-14で、2024-01-15に1234-5678を",
    "call 555-1234 or 911; score 21-19-21; (555) 555-0123",
    "1234 5678 9012 3456 and 4111 1111 1111 1111 and 4539 1488 0343 6468",
    "version 10.15.27.140, 1.2.3.4, 999.10.10.10, 192.168.10.20, 127.0.0.1, v 81.12.69.142",
    "std::vector<int> and a::b::c and 12:34:56 and 2001:db8:0:0:0:0:0:1",
    "注文番号1234 5678 9018、口座 123456789018",
    "マイナンバー：1234 5678 9012",
    "東京都の人口は1400万人。京都府宇治市は2番目、大阪府の3市",
    "5 Main Street is a film; 12 Angry Men; 100 Days of Code, Chapter 5 Drive",
    "0120 is a number, 0000-0000-0000, 000-0000-0000, order 0312345678901234",
    "HumanEval assert f([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == 16 777 216",
]


@pytest.mark.parametrize(("kind", "text"), FINDS)
def test_personal_data_is_found_once_and_as_its_kind(kind, text):
    assert count_personal(PERSONAL_KINDS, {"text": text}) == {kind: 1}


@pytest.mark.parametrize("text", DECOYS)
def test_what_only_looks_like_personal_data_is_left_alone(text):
    assert count_personal(PERSONAL_KINDS, {"text": text}) == {}


def test_check_digits_are_those_of_published_examples():
    assert passes_luhn("79927398713") and not passes_luhn("79927398710")
    assert passes_my_number("123456789018")
    assert [digit for digit in "0123456789" if passes_my_number("12345678901" + digit)] == ["8"]


def test_flagged_records_stay_and_are_listed_without_what_was_found(tmp_path):
    records = [dialogue("mail a.b@web.de and c@web.de", "ok"), dialogue("hello", "03-5253-1111"), *texts("nothing")]
    done = apply_filter(tmp_path, PersonalData(), records)
    assert done.excluded == [] and done.rows == []
    assert done.index["flagged"]["email"] == {"records": 1, "finds": 2}
    assert done.index["flagged"]["phone"] == {"records": 1, "finds": 1}
    assert done.index["flagged"]["my_number"] == {"records": 0, "finds": 0}
    flagged = (done.folder / "flagged.jsonl").read_text()
    assert '"record": 1' in flagged and "web.de" not in flagged


def test_records_are_dropped_from_so_many_finds_on(tmp_path):
    records = texts("a.b@web.de", "a.b@web.de c.d@web.de", "none")
    settings = PersonalData(on_found="drop", at_least=2)
    done = apply_filter(tmp_path, settings, records)
    assert done.rows == [{"record": 1, "reason": "personal data", "patterns": {"email": 2}}]
    assert not (done.folder / "flagged.jsonl").exists()


def test_only_the_kinds_asked_for_are_looked_for(tmp_path):
    settings = PersonalData(kinds=("phone",), on_found="drop")
    assert apply_filter(tmp_path, settings, texts("a.b@web.de", "03-5253-1111")).excluded == [1]


def test_a_find_in_a_long_text_is_counted_once_wherever_it_lies():
    edge = BLOCK_CHARACTERS - OVERLAP_CHARACTERS
    for place in (0, edge - 5, edge, BLOCK_CHARACTERS - 6, BLOCK_CHARACTERS + 50):
        text = ("x " * (place // 2)) + " jane@web.de " + "y " * (BLOCK_CHARACTERS // 2)
        assert count_personal(("email",), {"text": text}) == {"email": 1}, place


def test_a_filter_that_leaves_nothing_says_by_what(tmp_path):
    with pytest.raises(DataError, match="no record is left of 2: 2 personal data"):
        apply_filter(tmp_path, PersonalData(on_found="drop"), texts("a.b@web.de", "c@web.de"))

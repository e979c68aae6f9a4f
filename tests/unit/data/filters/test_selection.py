"""What is left of a source after a chain of filters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.problems import DataError
from mixlab.data.sources.selection import read_excluded, skip_excluded, write_selection

ORDINALS = st.sets(st.integers(0, 30))


@given(ORDINALS, st.integers(0, 30))
def test_the_records_that_no_filter_excluded_keep_their_ordinals(excluded, first):
    numbered = [(ordinal, {"text": str(ordinal)}) for ordinal in range(first, 31)]
    left = list(skip_excluded(iter(numbered), np.array(sorted(excluded), np.int64)))
    assert left == [pair for pair in numbered if pair[0] not in excluded]
    assert list(skip_excluded(iter(numbered), None)) == numbered


@given(ORDINALS, ORDINALS)
def test_a_filter_adds_to_what_was_excluded_before(tmp_path_factory, before, own):
    own -= before
    folder = tmp_path_factory.mktemp("selection")
    earlier = np.array(sorted(before), np.int64)
    write_selection(folder, earlier, np.array(sorted(own), np.int64), 40, {"why": len(own)})
    assert read_excluded(folder).tolist() == sorted(before | own)
    assert read_excluded(folder).dtype == np.int64


def test_nothing_left_is_an_error_with_the_reasons_and_the_cure(tmp_path):
    own = np.array([1, 2], np.int64)
    with pytest.raises(DataError, match="no record is left of 2: 1 too long, 1 too short; loosen this filter"):
        write_selection(tmp_path, np.array([0], np.int64), own, 3, {"too short": 1, "too long": 1})
    assert not (tmp_path / "index.json").exists()

"""What is there when judging begins is not looked through for garbage meanwhile, and is again afterwards."""

import gc

import pytest
from judge_lab import Start
from scripted_server import Answer

from mixlab.evaluation.judges.garbage import keep_all


def test_a_context_within_another_ends_with_the_outer_one() -> None:
    with keep_all():
        with keep_all():
            pass
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_another_keeps_stays_kept() -> None:
    gc.freeze()
    try:
        with keep_all():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_judging_that_fails_lets_go_as_well(start: Start) -> None:
    frozen = []

    def refuse(question: str, count: int) -> Answer:
        frozen.append(gc.get_freeze_count() > 0)
        return Answer("no such field", status=400)

    lab = start(refuse)
    with pytest.raises(Exception, match="refused"):
        lab.judge(3)
    assert (frozen, gc.get_freeze_count()) == ([True] * 3, 0)

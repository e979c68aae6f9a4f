"""What one process keeps for all the artifacts it makes."""

from mixlab.stages.job import Session


class Held:
    """Something that takes the machine for itself."""

    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def test_what_takes_the_machine_for_itself_is_kept_for_one_model_and_closed_for_the_next() -> None:
    session = Session()
    other = session.once(("engine", "a"), Held)
    first = session.only("vllm", ("a",), Held)
    assert session.only("vllm", ("a",), Held) is first
    second = session.only("vllm", ("b",), Held)
    assert (first.is_open, second.is_open, other.is_open) == (False, True, True)
    assert session.only("vllm", ("a",), Held) is not first

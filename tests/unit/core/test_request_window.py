from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.request_window import RequestWindow


def test_a_few_at_a_time() -> None:
    window: RequestWindow[int] = RequestWindow(2)
    for number in (1, 2, 3, 4, 3):
        window.add(number)
    assert window.take() == [1, 2]
    assert window.take() == []
    window.discard(2)
    assert window.take() == [3]
    window.discard(4)
    window.discard(1)
    assert window.take() == []
    # Again, behind what waits.
    window.add(3)
    window.add(5)
    assert window.take() == [3, 5]
    window.add(6)
    window.clear()
    assert window.take() == []


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "take"]), st.integers(0, 5)), max_size=50))
def test_any_order(steps: list[tuple[str, int]]) -> None:
    window: RequestWindow[int] = RequestWindow(3)
    waiting: list[int] = []
    asked: set[int] = set()
    for step, key in steps:
        if step == "add":
            window.add(key)
            asked.discard(key)
            if key not in waiting:
                waiting.append(key)
        elif step == "discard":
            window.discard(key)
            asked.discard(key)
            waiting = [each for each in waiting if each != key]
        else:
            room = 3 - len(asked)
            expected, waiting = waiting[:room], waiting[room:]
            assert window.take() == expected
            asked.update(expected)
        assert len(asked) <= 3

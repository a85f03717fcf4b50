from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.deadlines import Deadlines

KEYS = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 20)),
    st.tuples(st.just("discard"), KEYS, st.just(0)),
    st.tuples(st.just("due"), st.just(0), st.integers(0, 20)),
)


@given(st.lists(STEPS, max_size=300))
def test_each_key_is_due_once_at_its_last_deadline(steps: list[tuple[str, int, int]]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, int] = {}
    for step, key, at in steps:
        if step == "set":
            deadlines.set(key, at)
            model[key] = at
        elif step == "discard":
            deadlines.discard(key)
            model.pop(key, None)
        else:
            due = deadlines.due(at)
            assert [model[key] for key in due] == sorted(model[key] for key in due)
            assert set(due) == {key for key, when in model.items() if when <= at}
            for key in due:
                del model[key]
        assert len(deadlines) == len(model)
        assert deadlines.next == min(model.values(), default=None)
    deadlines.clear()
    assert deadlines.next is None


def test_what_is_discarded_takes_no_room_for_long() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key in range(10_000):
        deadlines.set(key, 1e9 - key)
        deadlines.discard(key)
        deadlines.set(-1, key)
    assert len(deadlines._heap) <= 64 + 2 * len(deadlines) + 1

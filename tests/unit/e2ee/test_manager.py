"""By which key new tracks begin."""

from __future__ import annotations

from aiolivekit import E2EEManager, E2EEOptions, FrameCryptor, KeyProvider, KeyProviderOptions


def cryptor(manager: E2EEManager, sid: str) -> FrameCryptor:
    return manager._new_cryptor("me", sid, outgoing=True)


def manager(**options: object) -> tuple[E2EEManager, KeyProvider]:
    made = E2EEManager(E2EEOptions(KeyProviderOptions(**options)))  # type: ignore[arg-type]
    made._local_identity = "me"
    keys = made.key_provider
    assert keys is not None
    keys._local_identity = "me"
    return made, keys


def test_a_track_begins_by_the_first_key_whichever_was_set_last() -> None:
    """As in the official SDK, whose programs set all keys beforehand and ratchet the first."""
    made, keys = manager()
    for index, key in enumerate((b"first", b"second", b"third")):
        keys.set_key("me", key, index)
    assert cryptor(made, "TR_1").key_index == 0
    made.set_key_index(1)
    assert [each.key_index for each in made.frame_cryptors()] == [1]
    assert cryptor(made, "TR_2").key_index == 1


def test_without_a_first_key_it_begins_by_the_last_that_was_set() -> None:
    made, keys = manager()
    for index in (4, 7):
        keys.set_key("me", b"a key", index)
    assert cryptor(made, "TR_1").key_index == 7


def test_a_shared_key_is_under_the_first_index() -> None:
    made, keys = manager(shared_key=b"shared")
    keys.set_shared_key(b"another", 3)
    assert cryptor(made, "TR_1").key_index == 0

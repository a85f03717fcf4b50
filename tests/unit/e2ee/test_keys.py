"""Keys: set, exported, ratcheted, kept out of sight, and wiped."""

from __future__ import annotations

import logging
import pickle
import threading
import time

import pytest

from aiolivekit.e2ee.derivation import Derivation, DerivedKey, KeyWorker
from aiolivekit.e2ee.keys import KeyProvider, Ring
from aiolivekit.e2ee.manager import E2EEManager
from aiolivekit.e2ee.options import E2EEOptions, KeyProviderOptions
from aiolivekit.enums import EncryptionType, KeyDerivationFunction
from aiolivekit.errors import EncryptionError, LiveKitError, MissingKeyError

from .frames import provider

SECRET = b"hunter2 is the secret"


def test_the_options_are_those_of_the_official_sdk() -> None:
    from livekit import rtc

    ours, theirs = KeyProviderOptions(), rtc.KeyProviderOptions()
    assert vars(ours) == {name: getattr(theirs, name) for name in vars(ours)}
    assert E2EEOptions().encryption_type == rtc.E2EEOptions().encryption_type == EncryptionType.GCM


def test_a_shared_key_is_everybodys() -> None:
    keys = provider(SECRET)
    assert keys.export_shared_key(0) == SECRET
    assert keys.export_key("anybody", 0) == SECRET
    keys.set_shared_key(b"second", 5)
    assert (keys.export_key("anybody", 5), keys.export_key("another", 5)) == (b"second", b"second")
    assert keys.export_shared_key(1) == b""
    assert keys._index_of("anybody") == 5
    keys._use("alice", 3)
    assert (keys._index_of("alice"), keys._index_of("bob")) == (3, 5)
    keys.set_shared_key(b"third", 6)
    assert keys._index_of("alice") == 6


def test_ratcheting_a_shared_key_takes_everybody_along() -> None:
    keys = provider(SECRET)
    assert keys.export_key("early", 0) == SECRET
    first = keys.ratchet_shared_key(0)
    second = keys.ratchet_shared_key(0)
    assert len({SECRET, first, second}) == 3
    assert keys.export_key("early", 0) == keys.export_key("late", 0) == keys.export_shared_key(0) == second
    # Who comes later is given the material, and stands where we do.
    late = provider(second)
    assert late.ratchet_shared_key(0) == keys.ratchet_shared_key(0)


def test_keys_of_each_participants_own() -> None:
    keys = provider(None)
    keys.set_key("alice", SECRET, 2)
    assert keys.export_key("alice", 2) == SECRET
    assert keys.export_key("bob", 2) == b""
    before = keys.ratchet_key("alice", 2)
    assert keys.export_key("alice", 2) == before != SECRET
    for call in (lambda: keys.ratchet_key("bob", 0), lambda: keys.ratchet_key("alice", 0)):
        with pytest.raises(MissingKeyError):
            call()
    for call in (lambda: keys.set_shared_key(b"x", 0), lambda: keys.ratchet_shared_key(0)):
        with pytest.raises(EncryptionError, match="own"):
            call()


def test_one_participant_may_have_another_key_than_the_shared_one() -> None:
    keys = provider(SECRET)
    keys.set_key("alice", b"her own", 0)
    assert (keys.export_key("alice", 0), keys.export_key("bob", 0)) == (b"her own", SECRET)


@pytest.mark.parametrize("size", [0, -1, 257])
def test_a_ring_of_no_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="ring"):
        provider(key_ring_size=size)


def test_what_is_no_key_is_refused() -> None:
    keys = provider()
    for index in (-1, 16, 4000):
        with pytest.raises(ValueError, match="index"):
            keys.set_shared_key(b"key", index)
    with pytest.raises(ValueError, match="empty"):
        keys.set_key("alice", b"", 0)
    with pytest.raises(TypeError):
        keys.set_key("alice", "text", 0)  # type: ignore[arg-type]


def test_pbkdf2_and_hkdf_are_different() -> None:
    derived = {
        function: Derivation(function, b"salt").key(SECRET).cipher.encrypt(bytes(12), b"x", None)  # type: ignore[union-attr]
        for function in KeyDerivationFunction
    }
    assert len(set(derived.values())) == 2


def test_keys_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = KeyProviderOptions(shared_key=SECRET, key_derivation_function=KeyDerivationFunction.HKDF)
    keys = KeyProvider(options)
    manager = E2EEManager(E2EEOptions(options))
    ratcheted = keys.ratchet_shared_key(0)
    ring = keys._ring("alice")
    assert ring is not None
    shown = " ".join(
        repr(each)
        for each in (
            options,
            E2EEOptions(options, key_provider=keys),
            keys,
            manager,
            ring,
            ring.get(0),
            manager._packets,
        )
    )
    shown += caplog.text
    for secret in (SECRET, ratcheted):
        assert secret.decode("latin-1") not in shown
        assert secret.hex() not in shown
        assert repr(secret) not in shown
    for raising in (lambda: keys.set_shared_key(SECRET, 99), lambda: keys.ratchet_key("bob", 7)):
        with pytest.raises((ValueError, LiveKitError)) as raised:
            raising()
        assert SECRET.decode() not in str(raised.value)
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(ring.get(0))


def first_of(keys: KeyProvider, identity: str) -> tuple[Ring, DerivedKey]:
    """The keys of somebody, and the one under index 0."""
    ring = keys._ring(identity)
    assert ring is not None
    key = ring.get(0)
    assert key is not None
    return ring, key


def test_keys_are_overwritten_at_the_end() -> None:
    keys = provider(SECRET)
    ring, key = first_of(keys, "alice")
    following, material = key.derive_following(), key.material
    assert following is not None
    next_material = following.material
    assert bytes(material) == SECRET
    keys.clear()
    assert bytes(material) == bytes(next_material) == b""
    assert key.cipher is following.cipher is None
    assert key.derive_following() is None
    assert ring.get(0) is None
    assert keys.export_shared_key(0) == keys.export_key("alice", 0) == b""


def test_a_key_that_is_replaced_is_overwritten_too() -> None:
    keys = provider(SECRET)
    _, old = first_of(keys, "alice")
    keys.set_shared_key(b"new", 0)
    assert bytes(old.material) == b""
    assert keys.export_key("alice", 0) == b"new"


def test_the_keys_of_a_room_are_wiped_with_it_and_those_of_the_user_are_not() -> None:
    options = KeyProviderOptions(shared_key=SECRET, key_derivation_function=KeyDerivationFunction.HKDF)
    manager = E2EEManager(E2EEOptions(options))
    manager._close()
    assert manager.key_provider is not None
    assert manager.key_provider.export_shared_key(0) == b""
    keys = KeyProvider(options)
    manager = E2EEManager(E2EEOptions(key_provider=keys))
    assert manager.key_provider is keys
    manager._close()
    assert keys.export_shared_key(0) == SECRET


def test_a_room_that_is_not_encrypted_has_no_keys() -> None:
    manager = E2EEManager(None)
    assert (manager.key_provider, manager.enabled, manager.frame_cryptors()) == (None, False, [])
    manager.set_enabled(False)
    for call in (lambda: manager.set_enabled(True), lambda: manager.set_key_index(1)):
        with pytest.raises(EncryptionError):
            call()
    with pytest.raises(EncryptionError):
        E2EEManager(E2EEOptions(encryption_type=EncryptionType.NONE))


def test_the_worker_derives_each_step_once_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[str] = []
    go_on = threading.Event()

    def derive(key: DerivedKey) -> DerivedKey | None:
        assert go_on.wait(10)
        derived.append(threading.current_thread().name)
        return key

    monkeypatch.setattr(DerivedKey, "derive_following", derive)
    worker = KeyWorker()
    key = provider()._derivation.key(b"x")
    told = threading.Event()
    for _ in range(3):
        worker.ask(key, 1)
    worker.ask(key, 2, told.set)
    go_on.set()
    assert told.wait(10)
    end = time.monotonic() + 10
    while worker._thread is not None and time.monotonic() < end:
        time.sleep(0.001)
    assert worker._thread is None
    assert len(derived) <= 4
    assert set(derived) == {"aiolivekit-keys"}
    worker.close()
    worker.ask(key, 1)
    assert worker._thread is None


def test_a_key_is_wiped_while_its_next_step_is_being_derived() -> None:
    """Which is done on another thread, from the same bytes."""
    keys = provider(SECRET)
    _, key = first_of(keys, "anybody")
    with memoryview(key.material) as read_by_another:
        keys.set_shared_key(b"second", 0)
        assert bytes(read_by_another) == bytes(len(read_by_another))
    assert keys.export_shared_key(0) == b"second"

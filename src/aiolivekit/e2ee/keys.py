"""The keys of a room: one for all, or one of each participant's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..core.key_ring import KeyRing
from ..enums import KeyDerivationFunction
from ..errors import EncryptionError, MissingKeyError
from .derivation import Derivation, DerivedKey, KeyWorker
from .options import KeyProviderOptions

__all__ = ["KeyProvider", "Ring"]

Ring = KeyRing[DerivedKey]

_MAX_RING = 256
_monotonic = time.monotonic


class KeyProvider:
    """The keys by which a room is encrypted.

    A room makes one by its `E2EEOptions`; one that is made before can be given to it there. Its methods may be called
    from any thread. Setting a key takes some tens of milliseconds with PBKDF2. Key material is never shown by `repr`,
    and is overwritten by `clear`; what the caller holds as `bytes` is the caller's.

    Args:
        options: How keys are kept.

    Raises:
        EncryptionError: If the extra `e2ee` is not installed.
        ValueError: If the options make no sense.
    """

    def __init__(self, options: KeyProviderOptions | None = None) -> None:
        self._options = options or KeyProviderOptions()
        size = self._options.key_ring_size
        if not 1 <= size <= _MAX_RING:
            raise ValueError(f"a key ring has 1 to {_MAX_RING} keys, not {size}")
        function = KeyDerivationFunction(self._options.key_derivation_function)
        self._derivation = Derivation(function, self._options.ratchet_salt)
        self._window = max(0, self._options.ratchet_window_size)
        self._lock = threading.Lock()
        self._worker = KeyWorker()
        self._shared: Ring | None = None
        self._rings: dict[str, Ring] = {}
        self._local_identity: str | None = None
        self._local_index: int | None = None
        if self._options.shared_key is not None:
            self._shared = self._new_ring()
            self.set_shared_key(self._options.shared_key, 0)

    @property
    def options(self) -> KeyProviderOptions:
        """How keys are kept."""
        return self._options

    # -- one key for all ----------------------------------------------------------------------------

    def set_shared_key(self, key: bytes, key_index: int) -> None:
        """Set the key of all participants.

        Data is encrypted with it at once, tracks when `FrameCryptor.set_key_index` says so, or if the index is that
        which is in use.

        Args:
            key: The pass phrase or the random bytes, at least one.
            key_index: Under which index, from 0 to one less than the ring has keys.

        Raises:
            EncryptionError: If the room is one with keys of each participant's own.
            ValueError: If the ring has no such index, or the key is empty.
        """
        shared = self._shared_ring()
        derived = self._derive(key, key_index)
        with self._lock:
            before = [key for ring in (shared, *self._rings.values()) for key in ring.put(key_index, derived)]
            self._local_index = key_index
        _wipe(before)

    def export_shared_key(self, key_index: int) -> bytes:
        """Return what the shared key was set to, or the material it was ratcheted to; empty if there is none."""
        return self._export(self._shared, key_index)

    def ratchet_shared_key(self, key_index: int) -> bytes:
        """Take the shared key one step further, for us and for all.

        Others who are to go on receiving us need not be told, if their ratchet window is not 0.

        Returns:
            The new material: a key that a participant who comes later can be given.

        Raises:
            MissingKeyError: If there is no key under that index.
            EncryptionError: If the room is one with keys of each participant's own.
        """
        shared = self._shared_ring()
        with self._lock:
            rings = [shared, *self._rings.values()]
        material, step = self._ratchet(shared, key_index)
        for ring in rings:
            self._go_to(ring, key_index, step)
        return material

    def _shared_ring(self) -> Ring:
        if self._shared is None:
            raise EncryptionError("keys are each participant's own here; set `shared_key` in the options to share one")
        return self._shared

    # -- a key of each participant's own -------------------------------------------------------------

    def set_key(self, participant_identity: str, key: bytes, key_index: int) -> None:
        """Set the key of one participant, perhaps our own.

        Args:
            participant_identity: Whose.
            key: The pass phrase or the random bytes, at least one.
            key_index: Under which index, from 0 to one less than the ring has keys.

        Raises:
            ValueError: If the ring has no such index, or the key is empty.
        """
        derived = self._derive(key, key_index)
        ring = self._ring(participant_identity, create=True)
        assert ring is not None
        before = ring.put(key_index, derived)
        if self._shared is None:
            # Otherwise it may be that of others too, and is wiped with theirs.
            _wipe(before)
        if participant_identity == self._local_identity:
            self._local_index = key_index

    def export_key(self, participant_identity: str, key_index: int) -> bytes:
        """Return what a participant's key was set to, or the material it was ratcheted to; empty if there is none."""
        return self._export(self._ring(participant_identity), key_index)

    def ratchet_key(self, participant_identity: str, key_index: int) -> bytes:
        """Take the key of one participant a step further (see `ratchet_shared_key`).

        Raises:
            MissingKeyError: If there is no key under that index.
        """
        ring = self._ring(participant_identity)
        if ring is None:
            raise MissingKeyError("that participant has no key")
        material, step = self._ratchet(ring, key_index)
        self._go_to(ring, key_index, step)
        return material

    # -- the same for both ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all keys, and overwrite their material; what is encrypted or decrypted from now on fails."""
        self._worker.close()
        with self._lock:
            rings = [*self._rings.values(), *([] if self._shared is None else [self._shared])]
            self._rings.clear()
        for ring in rings:
            _wipe(ring.clear())
        self._worker = KeyWorker()

    def _derive(self, key: bytes, index: int) -> DerivedKey:
        if not isinstance(key, bytes | bytearray | memoryview):
            raise TypeError(f"a key is bytes, not {type(key).__name__}")
        if not 0 <= index < self._options.key_ring_size:
            raise ValueError(f"a key index is from 0 to {self._options.key_ring_size - 1}, not {index}")
        if not len(key):
            raise ValueError("a key is not empty")
        return self._derivation.key(bytes(key))

    @staticmethod
    def _export(ring: Ring | None, index: int) -> bytes:
        key = None if ring is None else ring.get(index)
        return b"" if key is None else bytes(key.material)

    @staticmethod
    def _ratchet(ring: Ring, index: int) -> tuple[bytes, DerivedKey]:
        key = ring.get(index)
        step = None if key is None else key.derive_following()
        if step is None:
            raise MissingKeyError("there is no key to be ratcheted under that index")
        return bytes(step.material), step

    @staticmethod
    def _go_to(ring: Ring, index: int, step: DerivedKey) -> None:
        before = ring.get(index)
        if before is None:
            ring.put(index, step)
        elif before is not step:
            ring.advance(index, before, step, _monotonic())

    # -- for who encrypts and decrypts ---------------------------------------------------------------

    def _ring(self, identity: str, *, create: bool = False) -> Ring | None:
        """Return the keys of a participant, `None` for none."""
        ring = self._rings.get(identity)
        if ring is None and (create or self._shared is not None):
            with self._lock:
                ring = self._rings.get(identity)
                if ring is None:
                    # Each its own: they ratchet each at their own time.
                    ring = self._new_ring() if self._shared is None else self._shared.copy()
                    self._rings[identity] = ring
        return ring

    def _new_ring(self) -> Ring:
        return KeyRing(self._options.key_ring_size, self._options.failure_tolerance, self._window)

    def _prepare(self, key: DerivedKey) -> None:
        """Have the next step derived, since the key is in use: who follows a ratchet then loses nothing."""
        if self._window and key.following is None:
            self._worker.ask(key, 1)

    def _search(self, identity: str, index: int, then: Callable[[], None] | None = None) -> None:
        """Have all steps derived that a participant may be ahead of us; `then` is called on another thread."""
        ring = self._ring(identity)
        key = None if ring is None else ring.get(index)
        if key is not None:
            self._worker.ask(key, self._window, then)

    def __repr__(self) -> str:
        kind = "shared" if self._shared is not None else "per participant"
        return f"KeyProvider({kind})"


def _wipe(keys: list[DerivedKey]) -> None:
    for key in keys:
        key.wipe()

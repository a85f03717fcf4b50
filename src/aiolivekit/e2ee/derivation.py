"""Keys at one step of their ratchet, and the thread that derives steps.

The way of LiveKit's clients: AES keys of 128 bits come from the material by PBKDF2 (SHA-256, 100,000 rounds) or HKDF
(SHA-256), and a ratchet step's material, of 256 bits, from the material before by the same function and salt.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..enums import KeyDerivationFunction
from ..errors import EncryptionError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Derivation", "DerivedKey", "KeyWorker"]

_ROUNDS = 100_000
_INFO = bytes(128)
_KEY_SIZE, _MATERIAL_SIZE = 16, 32
_JOIN_TIMEOUT = 2.0


class Derivation:
    """How keys come from their material.

    Args:
        function: PBKDF2 or HKDF.
        salt: The salt.

    Raises:
        EncryptionError: If the package `cryptography` is not installed.
    """

    def __init__(self, function: KeyDerivationFunction, salt: bytes) -> None:
        try:
            # Not with the package: most rooms are not encrypted, and it takes a while.
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise EncryptionError("end-to-end encryption needs the extra: pip install aiolivekit[e2ee]") from error
        self.does_not_fit: type[Exception] = InvalidTag
        """Raised by a cipher for what it did not encrypt."""
        self._cipher: Callable[[bytes], AESGCM] = AESGCM
        self._function = function
        self._salt = bytes(salt)

    @property
    def takes_long(self) -> bool:
        """Whether a derivation takes tens of milliseconds."""
        return self._function is KeyDerivationFunction.PBKDF2

    def key(self, material: bytes | bytearray) -> DerivedKey:
        """Return the key of some material; PBKDF2 takes tens of milliseconds, without the interpreter's lock."""
        return DerivedKey(self, bytearray(material), self._cipher(self._derive(material, _KEY_SIZE)))

    def next_material(self, material: bytes | bytearray) -> bytes:
        """Return the material of the next ratchet step."""
        return self._derive(material, _MATERIAL_SIZE)

    def _derive(self, material: bytes | bytearray, size: int) -> bytes:
        if self._function is KeyDerivationFunction.PBKDF2:
            # Not `cryptography`'s: it keeps the interpreter's lock meanwhile, and with it the sound of all tracks.
            return hashlib.pbkdf2_hmac("sha256", material, self._salt, _ROUNDS, size)
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), size, self._salt, _INFO).derive(bytes(material))


class DerivedKey:
    """A key at one step of its ratchet (a `Step`)."""

    __slots__ = ("_derivation", "_following", "_lock", "cipher", "material")

    def __init__(self, derivation: Derivation, material: bytearray, cipher: AESGCM) -> None:
        self._derivation = derivation
        self._following: DerivedKey | None = None
        self._lock = threading.Lock()
        self.material = material
        """What it was derived from; empty once it is wiped."""
        self.cipher: AESGCM | None = cipher
        """Encrypts and decrypts; `None` once it is wiped."""

    @property
    def does_not_fit(self) -> type[Exception]:
        """Raised by the cipher for what it did not encrypt."""
        return self._derivation.does_not_fit

    @property
    def following(self) -> DerivedKey | None:
        """The next step, if it has been derived, or takes no time."""
        if self._following is None and not self._derivation.takes_long:
            self.derive_following()
        return self._following

    def derive_following(self) -> DerivedKey | None:
        """Return the next step, derived now if it was not before; `None` once the key is wiped."""
        with self._lock:
            if self._following is None and self.cipher is not None:
                following = self._derivation.key(self._derivation.next_material(self.material))
                if self.cipher is not None:
                    self._following = following
            return self._following

    def wipe(self) -> None:
        """Overwrite the material, and forget the key and the steps that follow."""
        key: DerivedKey | None = self
        while key is not None:
            key = key._wipe_this()  # noqa: SLF001 - of the same class

    def _wipe_this(self) -> DerivedKey | None:
        self.cipher = None
        self.material[:] = bytes(len(self.material))
        del self.material[:]
        following, self._following = self._following, None
        return following

    def __repr__(self) -> str:
        return "DerivedKey()"


class KeyWorker:
    """Derives ratchet steps on a thread that lives as long as there are any to derive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: deque[tuple[DerivedKey, int, Callable[[], None] | None]] = deque()
        self._asked: set[int] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, key: DerivedKey, steps: int, then: Callable[[], None] | None = None) -> None:
        """Have the steps after a key derived.

        Args:
            key: The key.
            steps: How many.
            then: Called on the worker's thread when they are there; without it, a key that is asked for twice is
                derived once.
        """
        with self._lock:
            if self._closed or (then is None and id(key) in self._asked):
                return
            self._asked.add(id(key))
            self._jobs.append((key, steps, then))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aiolivekit-keys", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._thread = None
                    return
                key, steps, then = self._jobs.popleft()
            step: DerivedKey | None = key
            for _ in range(steps):
                if step is None or self._closed:
                    break
                step = step.derive_following()
            with self._lock:
                self._asked.discard(id(key))
            if then is not None and not self._closed:
                then()

    def close(self) -> None:
        """Derive nothing any more; the thread has ended when this returns."""
        with self._lock:
            self._closed = True
            self._jobs.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_TIMEOUT)

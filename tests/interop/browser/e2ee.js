// What a page does in an encrypted room; page.js asks for it.
'use strict';

window.interopE2ee = (() => {
  const { BaseKeyProvider, RoomEvent } = LivekitClient;
  let keys = null;

  class Keys extends BaseKeyProvider {
    async set(text, identity, index) {
      const raw = new TextEncoder().encode(text);
      const material = await crypto.subtle.importKey('raw', raw, 'PBKDF2', false, ['deriveBits', 'deriveKey']);
      this.onSetEncryptionKey(material, identity ?? undefined, index);
    }
  }

  return {
    // The options of a room; `{shared, window, tolerance}` says how keys are kept.
    options({ shared, window: ratchetWindowSize, tolerance: failureTolerance }) {
      keys = new Keys({ sharedKey: shared, ratchetWindowSize, failureTolerance });
      return { encryption: { keyProvider: keys, worker: new Worker('/e2ee.worker.js') } };
    },

    async begin(room, tell) {
      room.on(RoomEvent.EncryptionError, (error, p) =>
        tell('encryption_error', { identity: p?.identity ?? null, message: String(error.message) }));
      await room.setE2EEEnabled(true);
    },

    commands: {
      async setKey({ key, identity, index }) {
        await keys.set(key, identity, index);
      },

      async ratchetKey({ identity, index }) {
        keys.ratchetKey(identity ?? undefined, index);
      },
    },
  };
})();

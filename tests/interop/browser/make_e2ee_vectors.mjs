// Has livekit-client encrypt known frames and packets, and prints what came out as JSON:
//
//   node make_e2ee_vectors.mjs > ../../unit/e2ee/vectors/livekit_client.json
//
// It runs the client's own worker (dist/livekit-client.e2ee.worker.mjs) in Node.js: its cryptography is WebCrypto's in
// both places. Nonces have random parts, so each run prints others; all of them are good.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { webcrypto } from 'node:crypto';

const require = createRequire(import.meta.url);
const dist = require.resolve('livekit-client').replace(/[^/\\]*$/, '');
const { version } = JSON.parse(await readFile(`${dist}../package.json`));

const waiting = new Map();
globalThis.self = globalThis;
globalThis.onmessage = null;
globalThis.crypto ??= webcrypto;
globalThis.RTCEncodedAudioFrame = class {};
globalThis.postMessage = ({ kind, data }) => waiting.get(data?.uuid ?? kind)?.(data);
const log = console.log;
console.log = console.info = console.debug = () => {};
await import(`file://${dist}livekit-client.e2ee.worker.mjs`);

const send = (kind, data) => globalThis.onmessage({ data: { kind, data } });
const answer = (key, kind, data) => new Promise((resolve) => (waiting.set(key, resolve), send(kind, data)));
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const settle = () => new Promise((resolve) => setTimeout(resolve, 300));

const SALT = 'LKFrameEncryptionKey';
const PASS = 'a pass phrase';
const RANDOM = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 1);

const material = (raw, name) => crypto.subtle.importKey('raw', raw, name, false, ['deriveBits', 'deriveKey']);
const KEYS = {
  PBKDF2: [new TextEncoder().encode(PASS), 'PBKDF2'],
  HKDF: [RANDOM, 'HKDF'],
};

const sps = [0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0x0f];
const pps = [0, 0, 0, 1, 0x68, 0x87, 0xcb];
const content = (length, seed) => Array.from({ length }, (_, index) => (index * seed + 3) & 0xff);
const FRAMES = [
  ['audio', 'opus', undefined, [0xf8, ...content(80, 5)]],
  ['audio', 'opus', undefined, [0xf8]],
  ['video', 'vp8', 'key', [0x10, 2, 0, 0x9d, 1, 0x2a, 8, 0, 8, 0, ...content(300, 7)]],
  ['video', 'vp8', 'delta', [0x31, 2, 0, ...content(120, 9)]],
  ['video', 'vp9', 'key', content(200, 11)],
  ['video', 'vp9', 'delta', content(90, 13)],
  ['video', 'h264', 'key', [...sps, ...pps, 0, 0, 0, 1, 0x65, 0x88, ...content(400, 3), ...Array(64).fill(0)]],
  ['video', 'h264', 'delta', [0, 0, 0, 1, 0x41, 0x9a, ...content(150, 17)]],
];

const frames = [];
async function encrypt(participantIdentity, index, step, derivation) {
  for (const [kind, codec, type, bytes] of FRAMES) {
    const trackId = `${participantIdentity}-${index}-${step}-${frames.length}`;
    const frame = {
      data: Uint8Array.from(bytes).buffer,
      timestamp: 90_000 + frames.length,
      getMetadata: () => ({ synchronizationSource: 1234, payloadType: 96, mimeType: `${kind}/${codec}` }),
      ...(type ? { type } : {}),
    };
    let out;
    const done = new Promise((resolve) => (out = resolve));
    const writableStream = new WritableStream({ write: (each) => out(each) });
    const readableStream = new ReadableStream({ start: (controller) => controller.enqueue(frame) });
    send('encode', { participantIdentity, trackId, readableStream, writableStream, codec, hasPacketTrailer: false });
    frames.push({
      derivation, index, step, kind, codec, key_frame: type === 'key', plain: hex(bytes), sealed: hex((await done).data),
    });
  }
}

const packets = [];
async function encryptPacket(participantIdentity, index, step, derivation) {
  const payload = new TextEncoder().encode(`a packet of step ${step}`);
  const uuid = `packet ${packets.length}`;
  const sealed = await answer(uuid, 'encryptDataRequest', { uuid, payload, participantIdentity });
  packets.push({
    derivation, index: sealed.keyIndex, step, plain: hex(payload), iv: hex(sealed.iv), sealed: hex(sealed.payload),
  });
}

const keyProviderOptions = {
  sharedKey: false, ratchetSalt: SALT, ratchetWindowSize: 8, failureTolerance: 10, keyringSize: 16, keySize: 128,
};
await answer('initAck', 'init', { keyProviderOptions, loglevel: 'silent' });
for (const [derivation, [raw, name]] of Object.entries(KEYS)) {
  const participantIdentity = derivation;
  await answer('enable', 'enable', { participantIdentity, enabled: true });
  for (const index of [0, 5]) {
    const key = await material(raw, name);
    send('setKey', { participantIdentity, isPublisher: true, key, keyIndex: index, updateCurrentKeyIndex: true });
    await settle();
    for (const step of [0, 1, 2]) {
      if (step) {
        send('ratchetRequest', { participantIdentity, keyIndex: index });
        await settle();
      }
      if (index === 0 || step === 0) await encrypt(participantIdentity, index, step, derivation);
      await encryptPacket(participantIdentity, index, step, derivation);
    }
  }
}
log(
  JSON.stringify(
    {
      made_by: `livekit-client ${version}, tests/interop/browser/make_e2ee_vectors.mjs`,
      salt: SALT,
      material: { PBKDF2: hex(KEYS.PBKDF2[0]), HKDF: hex(KEYS.HKDF[0]) },
      frames,
      packets,
    },
    null,
    1,
  ),
);
process.exit(0);

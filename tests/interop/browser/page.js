// One participant of livekit-client, as the suite drives it: commands in, events out.
'use strict';

(() => {
  const { ConnectionError, DisconnectReason, Room, RoomEvent, RpcError, Track, VideoQuality } = LivekitClient;

  const QUALITIES = { low: VideoQuality.LOW, medium: VideoQuality.MEDIUM, high: VideoQuality.HIGH };
  const POLL_MS = 40;
  const FFT_SIZE = 16384;
  const FRESH_FRAMES = 3;

  let room = null;
  let audio = null;
  const cleanups = [];
  const videos = new Map();
  const dataTracks = new Map();
  const remoteDataTracks = new Map();
  const dataStreams = new Map();
  const writers = new Map();
  // What `studio.js` keeps is forgotten too.
  const forget = [];

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const tell = (name, details = {}) => window.interopEvent({ name, ...details });
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const base64 = (array) => btoa(Array.from(array, (byte) => String.fromCharCode(byte)).join(''));

  function audioContext() {
    audio ??= new AudioContext({ sampleRate: 48000 });
    return audio;
  }

  async function until(deadline, what, condition) {
    const end = performance.now() + deadline * 1000;
    for (;;) {
      const result = condition();
      if (result) return result;
      if (performance.now() > end) throw new Error(`never happened in the page: ${what()}`);
      await pause(POLL_MS);
    }
  }

  function listen() {
    const on = (event, handler) => room.on(event, handler);
    const publication = (p) => ({
      sid: p.trackSid, kind: p.kind, source: p.source, track_name: p.trackName, simulcasted: Boolean(p.simulcasted),
    });
    on(RoomEvent.ParticipantConnected, (p) => tell('participant_connected', { identity: p.identity, sid: p.sid }));
    on(RoomEvent.ParticipantDisconnected, (p) => tell('participant_disconnected', { identity: p.identity, sid: p.sid }));
    on(RoomEvent.TrackPublished, (pub, p) => tell('track_published', { identity: p.identity, ...publication(pub) }));
    on(RoomEvent.TrackUnpublished, (pub, p) => tell('track_unpublished', { identity: p.identity, sid: pub.trackSid }));
    on(RoomEvent.TrackSubscribed, (track, pub, p) =>
      tell('track_subscribed', { identity: p.identity, ...publication(pub) }));
    on(RoomEvent.TrackUnsubscribed, (track, pub, p) =>
      tell('track_unsubscribed', { identity: p.identity, sid: pub.trackSid }));
    on(RoomEvent.TrackSubscriptionFailed, (sid, p) => tell('track_subscription_failed', { identity: p.identity, sid }));
    on(RoomEvent.TrackMuted, (pub, p) => tell('track_muted', { identity: p.identity, sid: pub.trackSid }));
    on(RoomEvent.TrackUnmuted, (pub, p) => tell('track_unmuted', { identity: p.identity, sid: pub.trackSid }));
    on(RoomEvent.LocalTrackPublished, (pub) => tell('local_track_published', { sid: pub.trackSid }));
    on(RoomEvent.LocalTrackUnpublished, (pub) => tell('local_track_unpublished', { sid: pub.trackSid }));
    on(RoomEvent.LocalTrackSubscribed, (pub) => tell('local_track_subscribed', { sid: pub.trackSid }));
    on(RoomEvent.ActiveSpeakersChanged, (speakers) =>
      tell('active_speakers_changed', { identities: speakers.map((p) => p.identity) }));
    on(RoomEvent.RoomMetadataChanged, (metadata) => tell('room_metadata_changed', { metadata }));
    on(RoomEvent.ParticipantMetadataChanged, (old, p) =>
      tell('participant_metadata_changed', { identity: p.identity, metadata: p.metadata ?? '' }));
    on(RoomEvent.ParticipantNameChanged, (display, p) =>
      tell('participant_name_changed', { identity: p.identity, display }));
    on(RoomEvent.ParticipantAttributesChanged, (changed, p) =>
      tell('participant_attributes_changed', { identity: p.identity, changed }));
    on(RoomEvent.ParticipantPermissionsChanged, (old, p) =>
      tell('participant_permissions_changed', {
        identity: p.identity,
        can_publish: p.permissions.canPublish,
        can_subscribe: p.permissions.canSubscribe,
        can_publish_data: p.permissions.canPublishData,
      }));
    on(RoomEvent.ConnectionQualityChanged, (quality, p) =>
      tell('connection_quality_changed', { identity: p.identity, quality }));
    on(RoomEvent.DataReceived, (payload, p, kind, topic) =>
      tell('data_received', {
        identity: p?.identity ?? null, data: base64(payload), topic: topic ?? '', reliable: kind === 0,
      }));
    on(RoomEvent.DataTrackPublished, (track) => {
      remoteDataTracks.set(track.info.sid, track);
      tell('data_track_published', {
        identity: track.publisherIdentity, sid: track.info.sid, track_name: track.info.name,
      });
    });
    on(RoomEvent.DataTrackUnpublished, (sid) => tell('data_track_unpublished', { sid }));
    on(RoomEvent.ChatMessage, (message, p) =>
      tell('chat_message_received', { identity: p?.identity ?? null, text: message.message }));
    on(RoomEvent.SipDTMFReceived, (dtmf, p) =>
      tell('sip_dtmf_received', { identity: p?.identity ?? null, code: dtmf.code, digit: dtmf.digit }));
    on(RoomEvent.TranscriptionReceived, (segments, p, pub) =>
      tell('transcription_received', {
        identity: p?.identity ?? null,
        sid: pub?.trackSid ?? null,
        segments: segments.map(({ id, text, language, final }) => [id, text, language, final]),
      }));
    // The official Python SDK has one event for both ways to come back.
    on(RoomEvent.SignalReconnecting, () => tell('reconnecting'));
    on(RoomEvent.Reconnecting, () => tell('reconnecting'));
    on(RoomEvent.Reconnected, () => tell('reconnected'));
    on(RoomEvent.Disconnected, (reason) => tell('disconnected', { reason: DisconnectReason[reason] ?? 'none' }));
  }

  function remotePublication(sid) {
    for (const participant of room.remoteParticipants.values()) {
      const publication = participant.trackPublications.get(sid);
      if (publication) return publication;
    }
    throw new Error(`there is no remote track ${sid}`);
  }

  function localPublication(sid) {
    const publication = room.localParticipant.trackPublications.get(sid);
    if (!publication) throw new Error(`there is no local track ${sid}`);
    return publication;
  }

  function describe(participant) {
    return {
      sid: participant.sid,
      metadata: participant.metadata ?? '',
      name: participant.name ?? '',
      attributes: { ...participant.attributes },
      tracks: [...participant.trackPublications.keys()],
    };
  }

  function draw(canvas, colour, position) {
    const context = canvas.getContext('2d', { alpha: false });
    const { width, height } = canvas;
    context.fillStyle = `rgb(${colour.join(',')})`;
    context.fillRect(0, 0, width, height);
    // A moving bar at the bottom, so that every picture differs and the encoder has work.
    context.fillStyle = 'white';
    context.fillRect((position * 8) % width, (height * 7) / 8, width / 8, height / 8);
  }

  const commands = {
    async join({ url, token, single, autoSubscribe, dynacast, encryption }) {
      room = new Room({
        singlePeerConnection: single,
        adaptiveStream: false,
        dynacast,
        stopLocalTrackOnUnpublish: false,
        disconnectOnPageLeave: false,
        ...(encryption ? interopE2ee.options(encryption) : {}),
      });
      listen();
      try {
        if (encryption) await interopE2ee.begin(room, tell);
        await room.connect(url, token, { autoSubscribe });
      } catch (error) {
        const refused = error instanceof ConnectionError;
        return { refused, message: String(error.message), reason: error.reasonName ?? '', status: error.status ?? 0 };
      }
      return { identity: room.localParticipant.identity };
    },

    async look() {
      const manager = room.engine.pcManager;
      return {
        state: room.state,
        room: { name: room.name, metadata: room.metadata ?? '', sid: await room.getSid() },
        me: describe(room.localParticipant),
        others: Object.fromEntries([...room.remoteParticipants].map(([identity, p]) => [identity, describe(p)])),
        peerConnections: manager ? 1 + Number(Boolean(manager.subscriber)) : 0,
      };
    },

    async leave() {
      await room?.disconnect();
    },

    async publishTone({ frequency, name }) {
      const context = audioContext();
      const oscillator = new OscillatorNode(context, { frequency });
      const gain = new GainNode(context, { gain: 0.5 });
      const destination = context.createMediaStreamDestination();
      oscillator.connect(gain).connect(destination);
      oscillator.start();
      cleanups.push(() => oscillator.stop());
      const [track] = destination.stream.getAudioTracks();
      const publication = await room.localParticipant.publishTrack(track, { name, source: Track.Source.Microphone });
      return publication.trackSid;
    },

    async publishPicture({ colour, width, height, simulcast, fps, name, codec }) {
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      let position = 0;
      draw(canvas, colour, position);
      const timer = setInterval(() => draw(canvas, colour, (position += 1)), 1000 / fps);
      cleanups.push(() => clearInterval(timer));
      const [track] = canvas.captureStream(fps).getVideoTracks();
      cleanups.push(() => track.stop());
      const options = { name, source: Track.Source.Camera, simulcast, ...(codec ? { videoCodec: codec } : {}) };
      const publication = await room.localParticipant.publishTrack(track, options);
      return publication.trackSid;
    },

    async unpublish({ sid }) {
      await room.localParticipant.unpublishTrack(localPublication(sid).track);
    },

    async setMuted({ sid, muted }) {
      const publication = localPublication(sid);
      await (muted ? publication.mute() : publication.unmute());
    },

    async setSubscribed({ sid, subscribed }) {
      remotePublication(sid).setSubscribed(subscribed);
    },

    async setQuality({ sid, quality }) {
      remotePublication(sid).setVideoQuality(QUALITIES[quality]);
    },

    // The tone of a track: once a whole window is sound, its strongest frequency and its loudness.
    async hear({ sid, deadline }) {
      const track = await until(deadline, () => `track ${sid}`, () => remotePublication(sid).track);
      // Chromium decodes remote sound only while an element plays it.
      const element = track.attach();
      element.volume = 0;
      const context = audioContext();
      const source = context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack]));
      const analyser = new AnalyserNode(context, { fftSize: FFT_SIZE, smoothingTimeConstant: 0 });
      source.connect(analyser);
      const samples = new Float32Array(FFT_SIZE);
      const loudness = (part) => Math.sqrt(part.reduce((sum, value) => sum + value * value, 0) / part.length);
      try {
        await until(deadline, () => `sound of ${sid}, only ${loudness(samples)}`, () => {
          analyser.getFloatTimeDomainData(samples);
          const size = FFT_SIZE / 16;
          return Array.from({ length: 16 }, (_, n) => loudness(samples.subarray(n * size, (n + 1) * size)))
            .every((value) => value > 0.01);
        });
        const spectrum = new Float32Array(analyser.frequencyBinCount);
        analyser.getFloatFrequencyData(spectrum);
        const peak = spectrum.indexOf(Math.max(...spectrum));
        return { frequency: (peak * context.sampleRate) / FFT_SIZE, loudness: loudness(samples) };
      } finally {
        source.disconnect();
        track.detach(element).remove();
      }
    },

    // The picture of a track: its size and the mean colour above the moving bar, after some frames that are new.
    async see({ sid, deadline }) {
      const track = await until(deadline, () => `track ${sid}`, () => remotePublication(sid).track);
      let watched = videos.get(track);
      if (!watched) {
        const element = track.attach();
        element.muted = true;
        document.documentElement.append(element);
        watched = { element, frames: 0 };
        const count = () => {
          watched.frames += 1;
          element.requestVideoFrameCallback(count);
        };
        element.requestVideoFrameCallback(count);
        videos.set(track, watched);
      }
      const { element } = watched;
      const before = watched.frames;
      await until(deadline, () => `pictures of ${sid}, ${watched.frames - before} came`,
        () => watched.frames >= before + FRESH_FRAMES);
      const { videoWidth: width, videoHeight: height } = element;
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext('2d');
      context.drawImage(element, 0, 0);
      const { data } = context.getImageData(0, 0, width, Math.floor((height * 3) / 4));
      const sums = [0, 0, 0];
      for (let index = 0; index < data.length; index += 4) {
        for (let channel = 0; channel < 3; channel += 1) sums[channel] += data[index + channel];
      }
      const count = data.length / 4;
      return { width, height, colour: sums.map((sum) => sum / count), frames: watched.frames };
    },

    async sendData({ data, reliable, to, topic }) {
      await room.localParticipant.publishData(bytes(data), { reliable, destinationIdentities: to, topic });
    },

    async receiveStreams({ topic }) {
      const read = async (kind, reader, identity, end) => {
        const about = { kind, identity, topic, id: reader.info.id };
        const pieces = [];
        tell('stream_begun', about);
        try {
          for await (const piece of reader) {
            pieces.push(piece);
            if (pieces.length === 1) tell('stream_arriving', about);
          }
        } catch (error) {
          const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
          tell('stream_failed', { ...about, size, text: kind === 'text' ? pieces.join('') : '', message: String(error) });
          return;
        }
        await end(pieces, reader.info, about);
      };
      room.registerTextStreamHandler(topic, (reader, { identity }) =>
        read('text', reader, identity, (pieces, info, about) =>
          tell('text_received', { ...about, text: pieces.join(''), attributes: info.attributes ?? {} })));
      room.registerByteStreamHandler(topic, (reader, { identity }) =>
        read('bytes', reader, identity, async (pieces, info, about) => {
          const data = new Uint8Array(await new Blob(pieces).arrayBuffer());
          tell('bytes_received', { ...about, data: base64(data), stream_name: info.name });
        }));
    },

    // As `receiveStreams`, of what is too large to be handed out: its size and its SHA-256.
    async receiveDigests({ topic }) {
      const tellDigest = async (kind, data, info, identity) => {
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
        const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
        tell('digest_received', { kind, identity, topic, id: info.id, size: data.length, sha256 });
      };
      room.registerTextStreamHandler(topic, async (reader, { identity }) =>
        tellDigest('text', new TextEncoder().encode(await reader.readAll()), reader.info, identity));
      room.registerByteStreamHandler(topic, async (reader, { identity }) =>
        tellDigest('bytes', new Uint8Array(await new Blob(await reader.readAll()).arrayBuffer()), reader.info, identity));
    },

    // Repeats a block of at least 64 KiB, the second time with each byte changed by one, and so on: too far apart for
    // deflate to see that it is the same again.
    async sendRepeated({ block, size, to, topic }) {
      const pattern = bytes(block);
      const data = new Uint8Array(size);
      for (let at = 0, round = 0; at < size; at += pattern.length, round += 1) {
        const part = data.subarray(at, Math.min(size, at + pattern.length));
        part.set(pattern.subarray(0, part.length));
        for (let index = 0; index < part.length; index += 1) part[index] ^= round & 255;
      }
      return (await room.localParticipant.sendBytes(data, { topic, destinationIdentities: to, name: 'repeated' })).id;
    },

    async openStream({ topic, to }) {
      const writer = await room.localParticipant.streamText({ topic, destinationIdentities: to });
      writers.set(writer.info.id, writer);
      return writer.info.id;
    },

    async writeStream({ id, text }) {
      await writers.get(id).write(text);
    },

    async endStream({ id }) {
      await writers.get(id).close();
    },

    async pressKey({ code, digit }) {
      await room.localParticipant.publishDtmf(code, digit);
    },

    async sendText({ text, to, topic, attributes }) {
      await room.localParticipant.sendText(text, { topic, destinationIdentities: to, attributes });
    },

    async sendBytes({ data, to, topic, name }) {
      await room.localParticipant.sendBytes(bytes(data), { topic, destinationIdentities: to, name });
    },

    async sendChat({ text }) {
      await room.localParticipant.sendChatMessage(text);
    },

    async serveRpc({ method }) {
      room.registerRpcMethod(method, async ({ callerIdentity, payload }) => {
        if (payload === 'fail') throw new RpcError(1234, 'as asked', 'details');
        return `${callerIdentity} said ${payload}`;
      });
    },

    async performRpc({ to, method, payload, timeout }) {
      try {
        const answer = await room.localParticipant.performRpc({
          destinationIdentity: to, method, payload, responseTimeout: timeout * 1000,
        });
        return { answer };
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        return { code: error.code, message: error.message, data: error.data ?? '' };
      }
    },

    async publishDataTrack({ name, size, interval }) {
      const track = await room.localParticipant.publishDataTrack({ name });
      let number = 0;
      const timer = setInterval(() => {
        if (!track.isPublished()) return;
        const payload = new Uint8Array(size).fill(number % 251);
        new DataView(payload.buffer).setUint32(0, number);
        track.tryPush({ payload, userTimestamp: BigInt(number) + 2n ** 40n });
        number += 1;
      }, interval);
      cleanups.push(() => clearInterval(timer));
      dataTracks.set(name, { track, timer });
      return track.info.sid;
    },

    async unpublishDataTrack({ name }) {
      const { track, timer } = dataTracks.get(name);
      clearInterval(timer);
      await track.unpublish();
    },

    async receiveDataTrack({ sid }) {
      const reader = remoteDataTracks.get(sid).subscribe().getReader();
      dataStreams.set(sid, reader);
      (async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          const { payload, userTimestamp } = value;
          const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
          tell('frame_received', {
            sid,
            number,
            size: payload.length,
            whole: payload.subarray(4).every((byte) => byte === number % 251),
            timestamp: userTimestamp === undefined ? null : Number(userTimestamp),
          });
        }
        tell('frames_ended', { sid });
      })();
    },

    async stopReceiving({ sid }) {
      await dataStreams.get(sid).cancel();
    },

    async setMetadata({ metadata }) {
      await room.localParticipant.setMetadata(metadata);
    },

    async setName({ name }) {
      await room.localParticipant.setName(name);
    },

    async setAttributes({ attributes }) {
      await room.localParticipant.setAttributes(attributes);
    },

    async allowSubscribers({ all, identities }) {
      room.localParticipant.setTrackSubscriptionPermissions(
        all, identities.map((participantIdentity) => ({ participantIdentity, allowAll: true })));
    },

    async simulate({ scenario }) {
      await room.simulateScenario(scenario);
    },

    ...interopE2ee.commands,

    // Leaves, and makes the page as it was, for the next test.
    async reset() {
      await room?.disconnect();
      room?.removeAllListeners();
      room = null;
      while (cleanups.length) cleanups.pop()();
      for (const { element } of videos.values()) element.remove();
      videos.clear();
      for (const map of [dataTracks, remoteDataTracks, dataStreams, writers]) map.clear();
      for (const each of forget) each();
    },
  };

  window.interop = (name, args) => commands[name](args);
  window.interopParts = {
    commands, forget, until, audioContext, cleanups, localPublication, remotePublication, base64,
    local: () => room.localParticipant,
  };
})();

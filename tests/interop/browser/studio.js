// Films and sounds in a page: what is published says which film and which picture it is, what arrives is recorded.
// `films.py` has the same bars; it also tells what they mean.
'use strict';

(() => {
  const { Track } = LivekitClient;
  const { until, audioContext, cleanups, localPublication, remotePublication, local, base64 } = window.interopParts;

  const COLUMNS = 16;
  const ROW = 10;
  const CHECK = 0x5a;
  const COLOUR_ROWS = [0.3, 0.8];
  const RATE = 48000;
  const BEGINNING = RATE / 5;
  const SILENCE = 0.01;

  // By sid: {track, options, film|nodes, count}; and what was seen of a remote track.
  const shots = new Map();
  const recordings = new Map();

  function bars(tag, count) {
    const number = count & 0xffff;
    return [number, tag | ((((number & 0xff) + (number >> 8) + tag) & 0xff) ^ CHECK) << 8];
  }

  function project(context, { tag, colour, width, height }, number) {
    context.fillStyle = `rgb(${colour.join(',')})`;
    context.fillRect(0, 0, width, height);
    bars(tag, number).forEach((bits, row) => {
      const top = Math.floor((height * row) / ROW);
      const bottom = Math.floor((height * (row + 1)) / ROW);
      for (let column = 0; column < COLUMNS; column += 1) {
        const left = Math.floor((width * column) / COLUMNS);
        const right = Math.floor((width * (column + 1)) / COLUMNS);
        context.fillStyle = (bits >> column) & 1 ? 'white' : 'black';
        context.fillRect(left, top, right - left, bottom - top);
      }
    });
    context.fillStyle = 'white';
    context.fillRect((number * 8) % width, Math.floor((height * 7) / 8), Math.floor(width / 8), Math.ceil(height / 8));
  }

  function shootFilm(film) {
    const { width, height, fps } = film;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d', { alpha: false });
    const shot = { count: 1 };
    project(context, film, shot.count);
    const timer = setInterval(() => project(context, film, (shot.count += 1)), 1000 / fps);
    [shot.track] = canvas.captureStream(fps).getVideoTracks();
    cleanups.push(() => {
      clearInterval(timer);
      shot.track.stop();
    });
    return shot;
  }

  function shootSound(frequencies) {
    const context = audioContext();
    const merger = new ChannelMergerNode(context, { numberOfInputs: frequencies.length });
    const gain = new GainNode(context, { gain: 0.5 });
    const destination = new MediaStreamAudioDestinationNode(context, {
      channelCount: frequencies.length, channelCountMode: 'explicit',
    });
    frequencies.forEach((frequency, channel) => {
      const oscillator = new OscillatorNode(context, { frequency });
      oscillator.connect(merger, 0, channel);
      oscillator.start();
      cleanups.push(() => oscillator.stop());
    });
    merger.connect(gain).connect(destination);
    const [track] = destination.stream.getAudioTracks();
    return { track, gain, count: 0 };
  }

  async function publish(shot) {
    const publication = await local().publishTrack(shot.track, shot.options);
    shots.set(publication.trackSid, shot);
    return publication.trackSid;
  }

  const middle = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // The two rows of bars, the size, and the mean of each plane below the bars.
  async function read(frame) {
    const { width, height } = frame.visibleRect;
    const data = new Uint8Array(frame.allocationSize());
    const planes = await frame.copyTo(data);
    const [luma] = planes;
    const rows = [0, 1].map((row) => {
      const y = Math.floor(((row + 0.5) * height) / ROW);
      let bits = 0;
      for (let column = 0; column < COLUMNS; column += 1) {
        const x = Math.floor(((column + 0.5) * width) / COLUMNS);
        let sum = 0;
        for (let j = y - 1; j <= y + 1; j += 1) {
          for (let i = x - 1; i <= x + 1; i += 1) sum += data[luma.offset + j * luma.stride + i];
        }
        if (sum / 9 > 125) bits |= 1 << column;
      }
      return bits;
    });
    const mean = (plane, high, wide, step, first) => {
      const values = [];
      const [top, bottom] = COLOUR_ROWS.map((part) => Math.floor(part * high));
      for (let j = top; j < bottom; j += 4) {
        for (let i = first; i < wide * step; i += 4 * step) values.push(data[plane.offset + j * plane.stride + i]);
      }
      return middle(values);
    };
    const [high, wide] = [Math.ceil(height / 2), Math.ceil(width / 2)];
    const chroma = frame.format === 'NV12'
      ? [mean(planes[1], high, wide, 2, 0), mean(planes[1], high, wide, 2, 1)]
      : [mean(planes[1], high, wide, 1, 0), mean(planes[2], high, wide, 1, 0)];
    return [...rows, width, height, mean(luma, height, width, 1, 0), ...chroma];
  }

  async function record(track, seen) {
    const reader = new MediaStreamTrackProcessor({ track: track.mediaStreamTrack.clone() }).readable.getReader();
    cleanups.push(() => reader.cancel().catch(() => {}));
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      try {
        seen.push(await read(value));
      } finally {
        value.close();
      }
    }
  }

  Object.assign(window.interopParts.commands, {
    async publishFilm({ film, codec, layers, screen }) {
      const shot = shootFilm(film);
      shot.options = {
        name: screen ? 'screen' : 'camera',
        source: screen ? Track.Source.ScreenShare : Track.Source.Camera,
        simulcast: layers,
        videoCodec: codec,
        backupCodec: false,
        // A busy machine is to cost pictures, not their size.
        degradationPreference: 'maintain-resolution',
      };
      // Its layers are switched off like this: `simulcast` is for the other codecs.
      if (!layers && ['vp9', 'av1'].includes(codec)) shot.options.scalabilityMode = 'L1T1';
      return await publish(shot);
    },

    async publishSound({ frequencies, dtx, red }) {
      const shot = shootSound(frequencies);
      shot.options = { name: 'microphone', source: Track.Source.Microphone, dtx, red, forceStereo: frequencies.length > 1 };
      return await publish(shot);
    },

    async republish({ sid }) {
      const shot = shots.get(sid);
      shots.delete(sid);
      await local().unpublishTrack(localPublication(sid).track, false);
      return await publish(shot);
    },

    async replaceFilm({ sid, film }) {
      const shot = Object.assign(shootFilm(film), { options: shots.get(sid).options });
      await localPublication(sid).track.replaceTrack(shot.track, true);
      shots.set(sid, shot);
    },

    async replaceSound({ sid, frequencies }) {
      const shot = Object.assign(shootSound(frequencies), { options: shots.get(sid).options });
      await localPublication(sid).track.replaceTrack(shot.track, true);
      shots.set(sid, shot);
    },

    async quieten({ sid, quiet }) {
      shots.get(sid).gain.gain.value = quiet ? 0 : 0.5;
    },

    async shown({ sid }) {
      return shots.get(sid).count;
    },

    async sent({ sid }) {
      const { sender } = localPublication(sid).track;
      const modes = new Map(sender.getParameters().encodings.map((each) => [each.rid ?? '', each.scalabilityMode]));
      const stats = [...(await sender.getStats()).values()];
      const codecs = new Map(stats.filter(({ type }) => type === 'codec').map(({ id, mimeType }) => [id, mimeType]));
      return stats.filter(({ type }) => type === 'outbound-rtp').map((each) => ({
        rid: each.rid ?? '',
        active: each.active ?? true,
        size: [each.frameWidth ?? 0, each.frameHeight ?? 0],
        frames: each.framesSent ?? 0,
        packets: each.packetsSent ?? 0,
        mode: each.scalabilityMode ?? modes.get(each.rid ?? '') ?? '',
        codec: codecs.get(each.codecId) ?? '',
      }));
    },

    async mime({ sid }) {
      return remotePublication(sid).mimeType ?? '';
    },

    async watch({ sid, deadline }) {
      const track = await until(deadline, () => `track ${sid}`, () => remotePublication(sid).track);
      const recording = recordings.get(sid) ?? { seen: [], track: null };
      recordings.set(sid, recording);
      if (recording.track === track.mediaStreamTrack) return;
      recording.track = track.mediaStreamTrack;
      record(track, recording.seen);
    },

    async frames({ sid, since }) {
      return (recordings.get(sid)?.seen ?? []).slice(since);
    },

    // Samples of a track as they were decoded, from when it begins to sound or from now on.
    async listen({ sid, seconds, sounding, deadline }) {
      const track = await until(deadline, () => `track ${sid}`, () => remotePublication(sid).track);
      // Chromium decodes remote sound only while an element plays it.
      const element = track.attach();
      element.volume = 0;
      const reader = new MediaStreamTrackProcessor({ track: track.mediaStreamTrack }).readable.getReader();
      const wanted = BEGINNING + Math.floor(seconds * RATE);
      const parts = [];
      let [total, channels, rate] = [0, 0, RATE];
      try {
        const end = performance.now() + deadline * 1000;
        while (total < wanted) {
          if (performance.now() > end) throw new Error(`only ${total} samples of ${sid} came`);
          const { done, value } = await reader.read();
          if (done) throw new Error(`the track ${sid} ended after ${total} samples`);
          const data = new Float32Array(value.numberOfFrames * value.numberOfChannels);
          for (let channel = 0; channel < value.numberOfChannels; channel += 1) {
            const plane = new Float32Array(value.numberOfFrames);
            value.copyTo(plane, { planeIndex: channel, format: 'f32-planar' });
            plane.forEach((sample, index) => { data[index * value.numberOfChannels + channel] = sample; });
          }
          if (channels && value.numberOfChannels !== channels) {
            // It begins anew: a window is of one kind.
            parts.length = 0;
            total = 0;
          }
          ({ numberOfChannels: channels, sampleRate: rate } = value);
          if (total || !sounding || data.some((sample) => Math.abs(sample) > SILENCE)) {
            parts.push(data);
            total += value.numberOfFrames;
          }
          value.close();
        }
      } finally {
        reader.cancel().catch(() => {});
        track.detach(element).remove();
      }
      const samples = Int16Array.from(
        parts.flatMap((part) => Array.from(part)).slice(BEGINNING * channels, wanted * channels),
        (sample) => Math.max(-32768, Math.min(32767, Math.round(sample * 32768))),
      );
      return { channels, rate, data: base64(new Uint8Array(samples.buffer)) };
    },
  });

  window.interopParts.forget.push(() => {
    shots.clear();
    recordings.clear();
  });
})();

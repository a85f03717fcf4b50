"""Models that need no network and no weights: they listen to tones, and speak in tones.

Somebody who "says" a tone of 440 Hz is understood as "440 hertz"; a text is spoken as one tone, one and a half times as
high as the last number in it. Put the real ones (OpenAI, Deepgram, Cartesia, Silero, ...) in their place.
"""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, llm, stt, tts, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer, shortuuid

LOUD = 0.02
"""Root mean square, full scale being 1, from which sound is speech."""

SPEECH_BEGINS = 0.06
SPEECH_ENDS = 0.25
"""Seconds of sound, and of silence, that make up the detector's mind."""

SPEECH_RATE = 24_000
SPEECH_SECONDS = 2.0


def _samples(frame: rtc.AudioFrame) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(frame.data, np.int16).astype(np.float32) / 32_768


class LoudnessVAD(vad.VAD):
    """What is loud is speech."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.05))

    def stream(self) -> LoudnessStream:
        """Begin to listen."""
        return LoudnessStream(self)


class LoudnessStream(vad.VADStream):
    """One listener of `LoudnessVAD`."""

    async def _main_task(self) -> None:
        speaking, sound, silence, samples = False, 0.0, 0.0, 0
        heard: list[rtc.AudioFrame] = []

        def tell(kind: vad.VADEventType, frames: list[rtc.AudioFrame]) -> None:
            event = vad.VADEvent(kind, samples, time.time(), sound, silence, frames, float(speaking), 0.0, speaking)
            event.raw_accumulated_speech, event.raw_accumulated_silence = sound, silence
            self._event_ch.send_nowait(event)

        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                speaking, sound, silence, heard = False, 0.0, 0.0, []
                continue
            samples += frame.samples_per_channel
            loud = float(np.sqrt(np.mean(_samples(frame) ** 2))) > LOUD
            sound, silence = (sound + frame.duration, 0.0) if loud else (sound, silence + frame.duration)
            if loud or speaking:
                heard.append(frame)
            if not speaking and sound >= SPEECH_BEGINS:
                speaking = True
                tell(vad.VADEventType.START_OF_SPEECH, list(heard))
            tell(vad.VADEventType.INFERENCE_DONE, [frame])
            if silence >= SPEECH_ENDS:
                if speaking:
                    speaking = False
                    tell(vad.VADEventType.END_OF_SPEECH, list(heard))
                sound, heard = 0.0, []


class ToneSTT(stt.STT):
    """Understands the strongest frequency: 440 Hz is "440 hertz"."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        sound = _samples(frame)
        loud = sound[np.abs(sound) > LOUD / 4]
        text = ""
        if loud.size:
            spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
            text = f"{round(int(spectrum.argmax()) * frame.sample_rate / sound.size / 10) * 10} hertz"
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=shortuuid(),
            alternatives=[stt.SpeechData(language=LanguageCode("en"), text=text)],
        )


class EchoLLM(llm.LLM):
    """Says what was said."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Answer the last message."""
        return EchoStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class EchoStream(llm.LLMStream):
    """One answer of `EchoLLM`, a word at a time."""

    async def _run(self) -> None:
        said = [item.text_content for item in self._chat_ctx.items if item.type == "message" and item.role == "user"]
        answer = f"I heard {said[-1] if said else 'nothing'}."
        for word in re.findall(r"\S+\s*", answer):
            delta = llm.ChoiceDelta(role="assistant", content=word)
            self._event_ch.send_nowait(llm.ChatChunk(id="echo", delta=delta))


class ToneTTS(tts.TTS):
    """Speaks a text as one tone, for so many seconds."""

    def __init__(self, seconds: float = SPEECH_SECONDS) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=SPEECH_RATE, num_channels=1)
        self.seconds = seconds

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Begin to speak."""
        return ToneSpeech(self, text, conn_options)


class ToneSpeech(tts.ChunkedStream):
    """One text of `ToneTTS`."""

    def __init__(self, voice: ToneTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=voice, input_text=text, conn_options=conn_options)
        self._seconds = voice.seconds

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=shortuuid(), sample_rate=SPEECH_RATE, num_channels=1, mime_type="audio/pcm"
        )
        numbers = re.findall(r"\d+", self.input_text)
        frequency = 1.5 * float(numbers[-1]) if numbers else 300.0
        angles = 2 * np.pi * frequency * np.arange(int(SPEECH_RATE * self._seconds)) / SPEECH_RATE
        output_emitter.push((np.sin(angles) * 12_000).astype(np.int16).tobytes())
        output_emitter.flush()

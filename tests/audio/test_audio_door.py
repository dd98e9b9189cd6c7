"""The door: what is decoded, which channel is heard, what is taken out, what is said and what is refused."""

import io
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser_ops.audio.admission import FORMATS, Clip, padding_warning
from ser_ops.audio.reading import RecordingStream, admit_samples, read_clip, read_recording
from ser_ops.audio.signal import LOW_CUT_HERTZ, LowCut, without_offset
from ser_ops.errors import UserError

RATE = 16000
CASES = Path(__file__).parents[3] / "shared" / "cases"


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def syllables(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Noise that rises and falls four times a second, as speech does."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.1, len(time))
    return (noise * np.sin(2 * np.pi * 2 * time) ** 2).astype(np.float32)


def encoded(path: Path, samples: np.ndarray, rate: int, codec: str, container: str) -> None:
    """Mono samples by FFmpeg, as phones and browsers write them."""
    with av.open(str(path), "w", format=container) as made:
        stream = made.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            made.mux(stream.encode(part))
        made.mux(stream.encode(None))


def strongest(samples: np.ndarray, rate: int = RATE) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) / len(samples) * rate)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_every_studio_format_comes_in_as_mono_at_the_asked_rate(tmp_path: Path, suffix: str, rate: int) -> None:
    file = tmp_path / f"a{suffix}"
    soundfile.write(file, np.stack([tone(1, rate), tone(1, rate)], axis=1), rate)
    recording = read_recording(file, RATE)
    assert recording.samples.dtype == np.float32 and recording.samples.ndim == 1
    assert (recording.native_rate, recording.channels, recording.warnings) == (rate, 2, ())
    assert recording.seconds == pytest.approx(1, abs=0.15)  # mp3 pads
    assert strongest(recording.samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("name", "codec", "container", "rate"), [
    ("a.m4a", "aac", "ipod", 44100), ("a.mp4", "aac", "mp4", 48000), ("a.aac", "aac", "adts", 22050),
    ("a.webm", "libopus", "webm", 48000), ("a.opus", "libopus", "ogg", 48000), ("a.3gp", "aac", "3gp", 16000)])
def test_phone_and_browser_formats_come_in_alike(tmp_path: Path, name: str, codec: str, container: str,
                                                 rate: int) -> None:
    encoded(tmp_path / name, tone(1.5, rate), rate, codec, container)
    recording = read_recording(tmp_path / name, RATE)
    assert recording.seconds == pytest.approx(1.5, abs=0.12) and recording.native_rate in (rate, 48000)
    assert strongest(recording.samples) == pytest.approx(440, abs=3)
    assert recording.samples.std() == pytest.approx(0.5 / np.sqrt(2), abs=0.03)


def test_amr_of_old_phones_comes_in(tmp_path: Path) -> None:
    """A hundred frames of 12.2 kbit/s (RFC 4867, 5.3) whose speech bits make some sound."""
    bits = np.random.default_rng(3)
    frames = b"".join(bytes([7 << 3 | 4]) + bits.bytes(31) for _ in range(100))
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + frames)
    recording = read_recording(tmp_path / "a.amr", RATE)
    assert (recording.native_rate, recording.channels) == (8000, 1) and recording.seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("subtype", "rate"), [("GSM610", 8000), ("G721_32", 8000), ("NMS_ADPCM_32", 8000),
                                               ("IMA_ADPCM", 16000), ("ULAW", 8000), ("PCM_24", 48000)])
def test_telephone_codecs_are_read_by_the_same_reader(tmp_path: Path, subtype: str, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1, rate), rate, subtype=subtype)
    recording = read_recording(tmp_path / "a.wav", RATE)
    blocks = list(RecordingStream(tmp_path / "a.wav", RATE))
    assert np.array_equal(np.concatenate(blocks), recording.samples)
    assert recording.seconds == pytest.approx(1, abs=0.05) and strongest(recording.samples) == pytest.approx(440, abs=3)


def without_xing(path: Path, samples: np.ndarray, rate: int) -> None:
    """An mp3 of changing bit rate without the frame that tells its length."""
    made = io.BytesIO()
    soundfile.write(made, samples, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    content = made.getvalue()
    first = content.index(b"Xing") if b"Xing" in content else content.index(b"Info")
    start = content.index(b"\xff", first + 100)
    while content[start + 1] & 0xE0 != 0xE0 or content[start + 1:start + 3] == content[start:start + 2]:
        start = content.index(b"\xff", start + 1)
    path.write_bytes(content[start:])


def test_an_mp3_is_as_long_as_what_decodes_and_not_as_its_bit_rate_lets_guess(tmp_path: Path) -> None:
    loud_then_quiet = np.concatenate([np.random.default_rng(0).normal(0, 0.2, 2 * 22050), tone(4, 22050, peak=0.01)])
    without_xing(tmp_path / "a.mp3", loud_then_quiet.astype(np.float32), 22050)
    assert read_recording(tmp_path / "a.mp3", RATE).seconds == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize("claimed", [0, 1, 5000, 2**31, 2**36 - 1])
def test_a_flac_is_as_long_as_what_decodes_whatever_its_header_claims(tmp_path: Path, claimed: int) -> None:
    file = tmp_path / "a.flac"
    soundfile.write(file, tone(2), RATE)
    content = bytearray(file.read_bytes())
    content[21] = content[21] & 0xF0 | claimed >> 32
    content[22:26] = struct.pack(">I", claimed & 0xFFFFFFFF)
    file.write_bytes(content)
    recording = read_recording(file, RATE)
    assert recording.seconds == 2.0
    assert bool(recording.warnings) == (claimed > 32000)


def test_an_id3_tag_before_a_flac_is_passed_over(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(1), RATE)
    tagged = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(tagged)
    assert read_recording(tmp_path / "a.flac", RATE).seconds == 1.0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_recorder_that_died_is_heard_to_its_end_and_that_is_said(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, tone(1.5), RATE)
    content = bytearray(file.read_bytes())
    at = content.index(b"data") + 4
    content[at:at + 4] = struct.pack("<I", size)
    file.write_bytes(content)
    recording = read_recording(file, RATE)
    assert recording.seconds == 1.5
    assert "does not say how long it is" in recording.warnings[0]


@pytest.mark.parametrize(("suffix", "subtype"), [(".wav", "PCM_16"), (".wav", "FLOAT"), (".flac", "PCM_16")])
@pytest.mark.parametrize("kept", [0.25, 0.5, 0.9])
def test_what_a_cut_upload_lacks_is_said_with_its_share(tmp_path: Path, suffix: str, subtype: str, kept: float) -> None:
    file = tmp_path / f"a{suffix}"
    soundfile.write(file, syllables(4), RATE, subtype=subtype)
    content = file.read_bytes()
    file.write_bytes(content[:int(len(content) * kept)])
    recording = read_recording(file, RATE)
    missing = 1 - recording.seconds / 4
    assert missing == pytest.approx(1 - kept, abs=0.15)
    assert any(f"{missing:.0%}".replace("%", " %") + " are missing" in warning for warning in recording.warnings)


def test_a_cut_ogg_and_a_chained_one_are_said(tmp_path: Path) -> None:
    file = tmp_path / "a.ogg"
    for name, seconds in (("first.ogg", 1.0), ("second.ogg", 2.0), ("third.ogg", 0.5)):
        soundfile.write(tmp_path / name, tone(seconds, hertz=300 * seconds), RATE)
    links = [(tmp_path / name).read_bytes() for name in ("first.ogg", "second.ogg", "third.ogg")]
    file.write_bytes(b"".join(links))
    recording = read_recording(file, RATE)
    assert recording.seconds == pytest.approx(3.5, abs=0.01) and "3 recordings in one file" in recording.warnings[0]
    soundfile.write(file, syllables(10), RATE)
    file.write_bytes(file.read_bytes()[:file.stat().st_size * 2 // 3])
    assert 5 < read_recording(file, RATE).seconds < 8
    assert "it ends early" in read_recording(file, RATE).warnings[0]


def test_links_of_another_rate_and_other_channels_are_heard_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "first.ogg", tone(1, 8000), 8000)
    soundfile.write(tmp_path / "second.ogg", np.stack([tone(1, 48000)] * 2, 1), 48000)
    (tmp_path / "a.ogg").write_bytes((tmp_path / "first.ogg").read_bytes() + (tmp_path / "second.ogg").read_bytes())
    assert read_recording(tmp_path / "a.ogg", RATE).seconds == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize(("other", "taken"), [
    (lambda speech: -speech, 1), (lambda speech: -0.99 * speech, 1), (lambda speech: 0 * speech, 1),
    (lambda speech: 0.001 * tone(3, hertz=50)[:len(speech)], 1)])
def test_the_channel_with_the_speech_is_heard_where_the_mean_loses_it(tmp_path: Path, other: Callable,
                                                                      taken: int) -> None:
    speech = syllables(3)
    soundfile.write(tmp_path / "a.wav", np.stack([speech, other(speech)], 1), RATE, subtype="FLOAT")
    recording = read_recording(tmp_path / "a.wav", RATE)
    assert np.allclose(recording.samples, without_offset(speech, RATE), atol=1e-6)
    assert f"only channel {taken}, which is most like speech, is used" in recording.warnings[0]


def test_speech_in_the_centre_of_five_channels_is_found_beside_hum_that_is_louder(tmp_path: Path) -> None:
    speech, hum = syllables(3), tone(3, hertz=100, peak=0.4)
    frames = np.stack([0 * speech, 0 * speech, speech, hum, 0 * speech, 0 * speech], 1)
    soundfile.write(tmp_path / "a.flac", frames, RATE)
    recording = read_recording(tmp_path / "a.flac", RATE)
    assert "channel 3, which is most like speech" in recording.warnings[0]
    fourth = read_recording(tmp_path / "a.flac", RATE, channel=4)
    assert strongest(fourth.samples) == pytest.approx(100, abs=2) and fourth.warnings == ()


@pytest.mark.parametrize("second", [1.0, 0.5])
def test_channels_that_agree_are_averaged_without_a_word(tmp_path: Path, second: float) -> None:
    speech = syllables(2)
    soundfile.write(tmp_path / "a.wav", np.stack([speech, second * speech], 1), RATE, subtype="FLOAT")
    recording = read_recording(tmp_path / "a.wav", RATE)
    assert np.allclose(recording.samples, without_offset(speech * (1 + second) / 2, RATE), atol=1e-6)
    assert recording.warnings == ()


def test_independent_channels_are_averaged(tmp_path: Path) -> None:
    frames = np.stack([syllables(2, seed=1), syllables(2, seed=2)], 1)
    soundfile.write(tmp_path / "a.wav", frames, RATE, subtype="FLOAT")
    assert read_recording(tmp_path / "a.wav", RATE).warnings == ()


def test_a_long_recording_of_several_channels_is_decoded_twice_and_never_held(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_ops.audio.channels._HELD_VALUES", 2 * RATE)
    monkeypatch.setattr("ser_ops.audio.decoders._BLOCK_SECONDS", 0.5)
    speech = syllables(5)
    soundfile.write(tmp_path / "a.wav", np.stack([speech, -speech], 1), RATE, subtype="FLOAT")
    assert np.allclose(read_recording(tmp_path / "a.wav", RATE).samples, without_offset(speech, RATE), atol=1e-6)


@pytest.mark.parametrize("channel", [3, 99])
def test_a_channel_that_is_not_there_is_one_line(tmp_path: Path, channel: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(1)] * 2, 1), RATE)
    with pytest.raises(UserError, match=f"has 2 channels, no channel {channel}: choose 1 to 2"):
        read_recording(tmp_path / "a.wav", RATE, channel=channel)


@pytest.mark.parametrize("offset", [-0.4, 0.05, 0.3])
def test_an_offset_and_what_lies_below_speech_are_gone(tmp_path: Path, offset: float) -> None:
    speech = syllables(2)
    soundfile.write(tmp_path / "a.wav", speech, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", speech + offset + tone(2, hertz=8, peak=0.2), RATE, subtype="FLOAT")
    plain, shifted = (read_recording(tmp_path / name, RATE).samples for name in ("a.wav", "b.wav"))
    assert np.abs(plain - shifted).max() < 0.08     # the first and the last moment know one side alone
    assert np.abs(plain - shifted)[RATE // 10:-RATE // 10].max() < 0.012


@pytest.mark.parametrize(("hertz", "least", "most"), [
    (10.0, -60.0, -20.0), (LOW_CUT_HERTZ, -3.2, -2.6), (60.0, -0.3, 0.0), (100.0, -0.5, 0.0), (1000.0, -0.05, 0.05)])
def test_the_low_cut_leaves_speech_alone(hertz: float, least: float, most: float) -> None:
    sound = tone(5, hertz=hertz)
    middle = slice(RATE, 4 * RATE)
    change = 20 * np.log10(without_offset(sound, RATE)[middle].std() / sound[middle].std())
    assert least <= change <= most


@given(st.lists(st.integers(1, 150_000), max_size=8), st.integers(1, 400_000))
def test_the_low_cut_is_the_same_in_any_blocks(cuts: list[int], total: int) -> None:
    sound = np.random.default_rng(1).normal(0.2, 0.1, total).astype(np.float32)
    cut = LowCut(RATE)
    pieces = [cut(part) for part in np.split(sound, np.cumsum(cuts)[np.cumsum(cuts) < total])]
    made = np.concatenate([*pieces, cut.end()])
    assert len(made) == total and np.allclose(made, without_offset(sound, RATE), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_blocks_are_what_reading_gives_and_memory_holds_one(tmp_path: Path, rate: int) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, np.tile(syllables(5, rate), 9), rate)
    listening = RecordingStream(file, RATE)
    blocks = list(listening)
    assert max(map(len, blocks)) <= 11 * RATE and listening.seconds == pytest.approx(45, abs=0.001)
    assert np.array_equal(np.concatenate(blocks), read_recording(file, RATE).samples)
    assert np.array_equal(np.concatenate(list(listening)), np.concatenate(blocks))     # again


def test_a_clip_is_cut_at_the_sample(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    clip = read_clip(Clip(tmp_path / "a.wav", 0.5, 1.25), RATE)
    assert np.allclose(clip.samples, without_offset(sound[8000:20000], RATE), atol=1e-6) and clip.warnings == ()
    assert "is after the end" in read_clip(Clip(tmp_path / "a.wav", 2.0, 4.0), RATE).warnings[0]
    with pytest.raises(UserError, match=r"start 3.5 s is after its end at 3.00 s"):
        read_clip(Clip(tmp_path / "a.wav", 3.5), RATE)


def test_clipping_is_counted_before_resampling(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.clip(tone(1, 48000, peak=3.0), -1, 1), 48000, subtype="PCM_16")
    assert read_recording(tmp_path / "a.wav", RATE).clipped_share > 0.3
    soundfile.write(tmp_path / "a.wav", tone(1, 48000), 48000)
    assert read_recording(tmp_path / "a.wav", RATE).clipped_share == 0


def header(rate: int = RATE, channels: int = 1, seconds: float = 1.0) -> bytes:
    """A WAV file of 16 bit with any rate and number of channels."""
    sound = (tone(seconds) * 32767).astype("<i2").tobytes()
    return (b"RIFF" + struct.pack("<I", 36 + len(sound)) + b"WAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 1, channels, rate, rate * channels * 2 % 2**32, channels * 2 % 2**16, 16)
        + b"data" + struct.pack("<I", len(sound)) + sound)


@pytest.mark.parametrize(("content", "words"), [
    (header(rate=1), "sample rate 1 Hz is not between 8000 and 192000"),
    (header(rate=6000), "sample rate 6000 Hz"), (header(rate=400_000), "sample rate 400000 Hz"),
    (header(channels=65), "65 channels are not between 1 and 64"), (header(channels=255), "255 channels"),
    (header(seconds=0.02), "0.020 s are shorter than 0.1 s"), (header(seconds=0), "holds no samples"),
    (b"", "empty file"),
    (b"RIFF....nonsense", "not readable as audio"), (b"hello " * 99, "not readable as audio")])
def test_bounds_are_checked_first_and_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_recording(tmp_path / "a.wav", RATE)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(("samples", "words"), [
    (tone(1) * 1e-3, "silent, nothing rises above -60 dBFS"), (np.full(RATE, 0.5, np.float32), "silent"),
    (tone(1) * 32767, "give floats in"), (np.append(tone(1), np.nan), "NaN or infinite"),
    (np.append(tone(1), -np.inf), "NaN or infinite")])
def test_what_is_no_sound_is_refused_alike_as_file_and_as_numbers(tmp_path: Path, samples: np.ndarray,
                                                                  words: str) -> None:
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    for route in (lambda: read_recording(tmp_path / "a.wav", RATE),
                  lambda: admit_samples("numbers", samples, RATE, RATE)):
        with pytest.raises(UserError, match=words):
            route()


@pytest.mark.parametrize("container", ["CAF", "AIFF", "AU", "W64", "MAT5", "VOC", "RAW"])
@pytest.mark.parametrize("suffix", [".wav", ".mp3", None])
def test_other_formats_are_refused_by_suffix_and_by_content(tmp_path: Path, container: str, suffix: str | None) -> None:
    file = tmp_path / f"a{suffix or '.' + container.lower()}"
    soundfile.write(file, tone(1), RATE, format=container, subtype="PCM_16")
    with pytest.raises(UserError, match=r"not a supported format|not readable as audio"):
        read_recording(file, RATE)


def test_the_content_decides_how_a_file_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(1), RATE)
    (tmp_path / "a.flac").rename(tmp_path / "a.wav")
    assert read_recording(tmp_path / "a.wav", RATE).seconds == 1.0


def test_a_playlist_that_names_other_files_is_not_followed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "secret.wav", tone(1), RATE)
    secret = tmp_path / "secret.wav"
    for name, content in (("a.mp3", f"#EXTM3U\n{secret}\n"), ("a.m4a", f"ffconcat version 1.0\nfile {secret}"),
                          ("a.webm", f"concat:{secret}")):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match="not readable as audio"):
            read_recording(tmp_path / name, RATE)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "socket", "device", "no permission to name"])
def test_what_is_no_regular_file_is_one_line_and_never_waited_for(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    file = tmp_path / "a.wav"
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "socket":
        import socket
        listener = socket.socket(socket.AF_UNIX)
        monkeypatch.chdir(tmp_path)     # a socket's path may have a hundred letters
        listener.bind("a.wav")
    elif kind == "no permission to name":
        file = tmp_path / "a\0b.wav"
    with pytest.raises(UserError) as refused:
        read_recording(file, RATE)
    assert "\n" not in str(refused.value)


def test_a_name_that_is_no_utf_8_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Gr\xf6\xdfe.wav"))
    (tmp_path / "a.wav").rename(odd)
    assert read_recording(odd, RATE).seconds == 1.0


def test_an_hour_is_not_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_ops.audio.admission.LONGEST", 5.0)
    soundfile.write(tmp_path / "a.wav", syllables(30), RATE)
    with pytest.raises(UserError, match="cut it into parts"):
        read_recording(tmp_path / "a.wav", RATE)
    assert sum(map(len, RecordingStream(tmp_path / "a.wav", RATE))) == 30 * RATE


def test_padding_is_said_from_half_a_window_on() -> None:
    assert padding_warning(1.5, 3.0) and not padding_warning(1.6, 3.0) and "97 %" in str(padding_warning(0.1, 3.0))


SEEDS = [("WAV", "PCM_16"), ("WAV", "GSM610"), ("WAV", "MS_ADPCM"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"),
         ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
       st.floats(0.05, 1))
def test_damaged_files_are_heard_or_refused_in_one_line(tmp_path: Path, seed: tuple[str, str],
                                                        changes: list[tuple[float, int]], kept: float) -> None:
    made = io.BytesIO()
    soundfile.write(made, syllables(0.6, 8000), 8000, format=seed[0], subtype=seed[1])
    content = bytearray(made.getvalue())
    for share, value in changes:
        content[int(share * (len(content) - 1))] = value
    file = tmp_path / f"a.{seed[0].lower()}"
    file.write_bytes(content[:max(1, int(kept * len(content)))])
    try:
        recording = read_recording(file, RATE)
    except UserError as refused:
        assert "\n" not in str(refused)
    else:
        assert np.isfinite(recording.samples).all() and len(recording.samples) < 4_000_000


@pytest.mark.skipif(not CASES.is_dir(), reason="the awkward recordings lie beside the project, not in it")
@pytest.mark.parametrize(("name", "seconds", "words"), [
    ("vbr_loudstart.mp3", 4.88, ""), ("vbr_without_xing.mp3", 4.28, ""), ("telephone_gsm.wav", 4.24, ""),
    ("antiphase.wav", 2.5, "channel 1, which is most like speech"),
    ("antiphase_almost.wav", 2.5, "channel 1, which is most like speech"),
    ("centre_of_5_1.flac", 2.5, "channel 3, which is most like speech"),
    ("recorder_died_size0.wav", 2.5, "does not say how long"), ("cut_off_upload.wav", 1.25, "50 % are missing"),
    ("two_voice_messages_chained.ogg", 8.43, "2 recordings in one file"), ("hundred_ms.wav", 0.1, "")])
def test_awkward_recordings_that_people_sent(name: str, seconds: float, words: str) -> None:
    recording = read_recording(CASES / name, RATE)
    assert recording.seconds == pytest.approx(seconds, abs=0.01)
    assert words in " ".join(recording.warnings) and bool(recording.warnings) == bool(words)


@pytest.mark.skipif(not CASES.is_dir(), reason="the awkward recordings lie beside the project, not in it")
@pytest.mark.parametrize(("name", "words"), [
    ("twenty_ms.wav", "shorter than 0.1 s"), ("float_in_int_range.wav", "give floats in"),
    ("six_kilohertz.wav", "sample rate 6000 Hz"), ("very_quiet.wav", "silent")])
def test_awkward_recordings_that_are_refused(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_recording(CASES / name, RATE)


def test_every_admitted_suffix_is_tried_above() -> None:
    assert set(FORMATS) == {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".amr",
                            ".3gp"}


@pytest.mark.parametrize(("name", "codec", "container"), [
    ("a.mp3", "libmp3lame", "mp3"), ("a.webm", "libopus", "webm")])
def test_other_formats_that_say_how_long_they_are_say_what_is_missing(tmp_path: Path, name: str, codec: str,
                                                                      container: str) -> None:
    encoded(tmp_path / name, syllables(8, 48000), 48000, codec, container)
    assert read_recording(tmp_path / name, RATE).warnings == ()
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:len(content) // 2])
    recording = read_recording(tmp_path / name, RATE)
    assert 3 < recording.seconds < 5 and " are missing" in " ".join(recording.warnings)


def test_a_cut_hears_what_is_said_of_the_whole_and_a_second_pass_says_it_once(tmp_path: Path) -> None:
    file, speech = tmp_path / "a.wav", syllables(3)
    soundfile.write(file, np.stack([speech, -speech], 1), RATE)
    content = bytearray(file.read_bytes())
    at = content.index(b"data") + 4
    content[at:at + 4] = bytes(4)
    file.write_bytes(content)
    assert len(read_clip(Clip(file, 0.5, 1.5), RATE).warnings) == 2
    listening = RecordingStream(file, RATE)
    assert [sum(map(len, listening)), sum(map(len, listening))] == [3 * RATE] * 2 and len(listening.warnings) == 2


@pytest.mark.parametrize("chunk", [bytes(8), b"JUNK\0\0\0\0"])
def test_a_header_without_end_costs_no_time(tmp_path: Path, chunk: bytes) -> None:
    """A recorder that set 40 MB aside and died; libsndfile alone would look for sound in them for half a minute."""
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE" + chunk * 5_000_000)
    started = time.process_time()
    with pytest.raises(UserError, match="without sound data"):
        read_recording(tmp_path / "a.wav", RATE)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("noise_db", [-3.0, 3.0, 9.0])
def test_speech_is_found_beside_noise_that_is_louder_and_beside_clicks(tmp_path: Path, noise_db: float) -> None:
    speech, draw = syllables(3), np.random.default_rng(4)
    noise = draw.normal(0, speech.std() * 10 ** (noise_db / 20), len(speech)).astype(np.float32)
    clicks = np.zeros(len(speech), np.float32)
    clicks[draw.integers(0, len(speech), 6)] = 0.9
    for number, other in enumerate((noise, clicks)):
        file = tmp_path / f"{number}.wav"
        soundfile.write(file, np.stack([0 * speech, other, -speech, 0 * speech], 1), RATE, subtype="FLOAT")
        recording = read_recording(file, RATE)
        assert "channel 3, which is most like speech" in recording.warnings[0]
        assert np.allclose(recording.samples, without_offset(-speech, RATE), atol=1e-6)


def test_wav_files_in_a_row_and_samples_behind_the_header_s_end_are_heard(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "first.wav", tone(1), RATE)
    soundfile.write(tmp_path / "second.wav", tone(2, 8000), 8000)
    first, second = ((tmp_path / name).read_bytes() for name in ("first.wav", "second.wav"))
    (tmp_path / "a.wav").write_bytes(first + second + first)
    recording = read_recording(tmp_path / "a.wav", RATE)
    assert recording.seconds == pytest.approx(4, abs=0.01) and "3 recordings in one file" in recording.warnings[0]
    short = bytearray(first)
    short[short.index(b"data") + 4:short.index(b"data") + 8] = struct.pack("<I", RATE // 2)
    (tmp_path / "a.wav").write_bytes(short)
    recording = read_recording(tmp_path / "a.wav", RATE)
    assert recording.seconds == 1 and "ends before its samples do" in recording.warnings[0]
    notes = b"LIST" + struct.pack("<I", 4096) + b"INFO" + bytes(4092)
    (tmp_path / "a.wav").write_bytes(first + notes)
    assert read_recording(tmp_path / "a.wav", RATE).seconds == 1 and read_recording(tmp_path / "a.wav",
                                                                                    RATE).warnings == ()
    (tmp_path / "a.wav").write_bytes(header(seconds=0) + notes)
    with pytest.raises(UserError, match="holds no samples"):
        read_recording(tmp_path / "a.wav", RATE)


def test_a_header_that_points_beyond_every_file_is_one_line(tmp_path: Path) -> None:
    far = b"ds64" + struct.pack("<I", 28) + struct.pack("<QQQI", 2**63, 2**63 + 2**62, 0, 0)
    (tmp_path / "a.wav").write_bytes(b"RF64" + b"\xff" * 4 + b"WAVE" + far + header()[12:36] + b"data" + b"\xff" * 4
                                     + header()[44:])
    assert "are missing" in read_recording(tmp_path / "a.wav", RATE).warnings[0]

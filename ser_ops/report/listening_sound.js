// Part of the listening page: playing through Web Audio, and what is said where that is not there.
const Audio_ = window.AudioContext || window.webkitAudioContext;
const buffers = new Map();
let speaker = null, source = null, playing = 0;

const cannot = (why) => {
  byId("silent").hidden = false;
  byId("silent").textContent = `${why} What a method used or ignored cannot be played then; the clip itself may play here:`;
  byId("fallback").hidden = false;
  for (const button of document.querySelectorAll("[data-play]")) button.disabled = true;
};

// The browser's own player, for the clip alone.
function plainPlayer(clip) {
  const sound = DATA.sounds[clip.sound];
  byId("fallback").replaceChildren(...(sound ? [make("audio", { controls: "", "aria-label": "the clip", src: `data:${sound.kind};base64,${sound.base64}` })] : []));
}

async function bufferOf(clip) {
  if (!buffers.has(clip.sound)) buffers.set(clip.sound, await speaker.decodeAudioData(decoded(DATA.sounds[clip.sound].base64).buffer));
  return buffers.get(clip.sound);
}

// The clip with each sample as loud as `gain` says at its moment.
function shaped(buffer, gain, what) {
  const made = speaker.createBuffer(1, buffer.length, buffer.sampleRate), from = buffer.getChannelData(0), to = made.getChannelData(0);
  for (let place = 0; place < from.length; place += 1) {
    const at = place / buffer.sampleRate * 1000 - 0.5, before = Math.min(Math.max(Math.floor(at), 0), gain.length - 1);
    const after = Math.min(before + 1, gain.length - 1), between = Math.min(Math.max(at - before, 0), 1);
    const value = gain.length ? gain[before] + between * (gain[after] - gain[before]) : 0;
    to[place] = from[place] * (what === "used" ? value : 1 - value);
  }
  return made;
}

function stop() {
  playing += 1;
  if (source) { source.onended = null; try { source.stop(); } catch { /* it never began */ } source = null; }
  byId("stop").disabled = true;
}

// Plays from a moment on; `moved(moment)` is called while it plays, `ended()` at its end.
async function play(clip, what, gain, start, moved, ended) {
  stop();
  const mine = playing;
  let buffer;
  try {
    speaker ??= new Audio_();
    await speaker.resume();
    buffer = await bufferOf(clip);
  } catch {
    cannot("This browser cannot decode the sound (Ogg Vorbis).");
    return;
  }
  if (mine !== playing) return;
  source = speaker.createBufferSource();
  source.buffer = what === "clip" ? buffer : shaped(buffer, gain, what);
  source.connect(speaker.destination);
  const begun = speaker.currentTime;
  const now = () => Math.min(start + speaker.currentTime - begun, windowOf(clip));
  source.onended = () => { if (mine === playing) { stop(); ended(); } };
  source.start(0, Math.min(start, Math.max(buffer.duration - 0.01, 0)));
  byId("stop").disabled = false;
  const step = () => { if (mine === playing) { moved(now()); requestAnimationFrame(step); } };
  requestAnimationFrame(step);
}

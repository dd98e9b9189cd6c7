// Part of the listening page: how loud each moment is played, from a method's curve. One value a millisecond.
const SMOOTHED = 5; // values on each side: 10 ms in all

// {gain, heard, positive}: gain Float32Array in [0, 1], seconds that are played in full, seconds that speak for the class.
// As the curve: its positive part, peak 1. A share: 1 in the moments of the recording (padding left out) with the
// highest positive values, 0 elsewhere; fewer than asked where fewer are positive.
function gainOf(clip, method, share) {
  const number = Math.ceil(windowOf(clip) * 1000 - 1e-9), valid = Math.min(number, Math.round(validOf(clip) * 1000));
  const curve = curveOf(clip, method), raw = new Float32Array(number);
  for (let place = 0; place < number; place += 1) raw[place] = Math.max(0, valueAt(curve, (place + 0.5) / 1000));
  const positive = raw.subarray(0, valid).reduce((sum, value) => sum + (value > 0), 0);
  const peak = raw.reduce((high, value) => Math.max(high, value), 0);
  let chosen = new Float32Array(number);
  if (share === "curve") {
    if (peak > 0) chosen = raw.map((value) => value / peak);
  } else {
    const best = Array.from({ length: valid }, (_, place) => place).filter((place) => raw[place] > 0)
      .sort((one, other) => raw[other] - raw[one] || one - other).slice(0, Math.round(Number(share) * valid));
    for (const place of best) chosen[place] = 1;
  }
  const heard = chosen.subarray(0, valid).reduce((sum, value) => sum + value, 0) / 1000;
  return { gain: smooth(chosen), heard, positive: positive / 1000, peak };
}

// Share of a method's positive values on padding, where there is no sound.
function onPadding(clip, method) {
  const curve = curveOf(clip, method), sums = [0, 0];
  for (let moment = 0.0005; moment < windowOf(clip); moment += 0.001) sums[moment < validOf(clip) ? 0 : 1] += Math.max(0, valueAt(curve, moment));
  return sums[1] > 0 ? sums[1] / (sums[0] + sums[1]) : 0;
}

function smooth(values) {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, place) => { sums[place + 1] = sums[place] + value; });
  return values.map((_, place) => {
    const start = Math.max(0, place - SMOOTHED), end = Math.min(values.length, place + SMOOTHED + 1);
    return (sums[end] - sums[start]) / (end - start);
  });
}

// What the buttons play, in words.
function inWords(clip, what, method, share, found) {
  if (what === "clip") return "The clip as the model heard it.";
  const one = DATA.methods[method], mark = one?.mark ? ` Take it as a guess: ${one.name}, ${one.mark}.` : "";
  if (!one || !curveOf(clip, method).length) return "No method explains this clip, so there is nothing to play by it.";
  if (!(found.peak > 0)) {
    return what === "used" ? `${one.name} finds nothing here that speaks for the class: only what it used is silence.` : `${one.name} finds nothing here that speaks for the class: what is left is the whole clip.`;
  }
  const valid = validOf(clip), part = share === "curve" ? "" : `${Math.round(Number(share) * 100)} %`;
  const padding = onPadding(clip, method) > 0.05 ? ` ${Math.round(onPadding(clip, method) * 100)} % of what ${one.name} gives lies on padding, where there is nothing to hear.` : "";
  const short = share !== "curve" && found.heard < Number(share) * valid - 0.002 ? ` Only ${inSeconds(found.positive)} speak for the class at all, so less is taken.` : "";
  const used = share === "curve" ? `Each moment as loud as ${one.name} gives it for ${clip.explained}, its peak in full` : `The ${part} of the recording's time to which ${one.name} gives most for ${clip.explained} (${inSeconds(found.heard)} of ${inSeconds(valid)})`;
  const sentence = what === "used" ? `${used}; the rest is silent.` : share === "curve" ? `What is left when each moment is turned down by what ${one.name} gives it for ${clip.explained}.` : `All but the ${part} of the recording's time to which ${one.name} gives most for ${clip.explained} (${inSeconds(found.heard)} of ${inSeconds(valid)} are silent).`;
  return `${sentence}${short}${padding}${mark}`;
}

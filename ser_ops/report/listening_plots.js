// Part of the listening page: the pictures under one time axis. All begin LEFT pixels from the left of the stack.
const LEFT = 58, RIGHT = 10, TOP = 20, BOTTOM = 18;

// Where a moment lies in the stack, in pixels, and back.
const widthOf = () => Math.max(byId("stack").clientWidth, 240);
const placeOf = (clip, moment) => LEFT + moment / windowOf(clip) * (widthOf() - LEFT - RIGHT);
const momentAt = (clip, place) => Math.min(Math.max((place - LEFT) / (widthOf() - LEFT - RIGHT), 0), 1) * windowOf(clip);

// An empty picture with its time axis, padding and speech: {svg, x, y, inside}. `unit` names the vertical axis.
function timePicture(clip, height, low, high, { unit, label, ticks, speech = true }) {
  const width = widthOf(), bottom = height - BOTTOM, total = windowOf(clip), valid = validOf(clip);
  const x = (moment) => placeOf(clip, moment);
  const y = (value) => bottom - (value - low) / ((high - low) || 1) * (bottom - TOP);
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  if (speech) {
    for (const pair of listOf(clip.speech?.seconds)) {
      const [start, end] = listOf(pair);
      if (!isNumber(start) || !isNumber(end)) continue;
      const at = x(Math.max(0, start)), wide = Math.max(x(Math.min(end, total)) - at, 0);
      svg.append(draw("rect", { x: at, y: TOP, width: wide, height: bottom - TOP, class: "speech" }),
        draw("rect", { x: at, y: TOP, width: wide, height: 3, class: "speech-edge", title: `speech by energy of the clean recording: ${inSeconds(start)} to ${inSeconds(end)}` }));
    }
  }
  for (const tick of ticksOf(0, total, Math.min(12, (width - LEFT) / 70))) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: TOP, y2: bottom, class: "grid" }),
      write(x(tick), height - 4, `${Number(tick.toFixed(3))} s`, { class: "tick unit-time", "text-anchor": tick >= total * 0.98 ? "end" : "middle" }));
  }
  for (const [value, words] of ticks ?? ticksOf(low, high, (bottom - TOP) / 20).map((tick) => [tick, figure(tick)])) {
    svg.append(draw("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: value === 0 ? "zero" : "grid" }),
      write(LEFT - 6, y(value) + 4, words, { class: "tick", "text-anchor": "end" }));
  }
  const inside = draw("svg", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: bottom - TOP, viewBox: `${LEFT} ${TOP} ${width - LEFT - RIGHT} ${bottom - TOP}`, overflow: "hidden" });
  svg.append(inside);
  if (valid < total) {
    svg.append(draw("rect", { x: x(valid), y: TOP, width: x(total) - x(valid), height: bottom - TOP, class: "padding", fill: "url(#hatch)", title: `padding from ${inSeconds(valid)} on: no sound` }));
  }
  svg.append(write(4, 12, unit, { class: "tick unit" }), draw("line", { x1: LEFT, x2: LEFT, y1: TOP - 3, y2: bottom + 3, class: "play-head" }));
  return { svg, x, y, inside };
}

const pathOf = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function waveform(clip) {
  const sound = DATA.sounds[clip.sound];
  if (!sound) return make("p", { class: "gap" }, clip.audio ? "Not here: the sound of this clip. Its file is not in reports/." : "Not here: the waveform. The sound of this condition was not kept; conditions with ♪ have theirs.");
  if (!sound.peaks) return make("p", { class: "gap" }, "Not here: the waveform. The sound could not be read when the page was built.");
  const levels = new Int8Array(decoded(sound.peaks).buffer), peak = (sound.peak || 0) / (clip.gain || 1); // undo the gain of the file: amplitude as the model heard it
  const reach = Math.max(peak * 1.05, 0.001), columns = levels.length / 2;
  const { svg, x, y, inside } = timePicture(clip, 120, -reach, reach, { unit: "amplitude (full scale is 1)", label: "Waveform" });
  const level = (place) => levels[place] / 127 * peak, moment = (column) => (column + 0.5) / columns * sound.seconds;
  const upper = [], lower = [];
  for (let column = 0; column < columns; column += 1) {
    upper.push([x(moment(column)), y(level(2 * column + 1)) - 0.4]);
    lower.push([x(moment(column)), y(level(2 * column)) + 0.4]);
  }
  inside.append(draw("path", { d: `${pathOf([...upper, ...lower.reverse()])}Z`, class: "wave" }));
  return svg;
}

// Rows of the picture are bands of equal height, the lowest at the bottom; hertz stand at the centres of their bands.
function spectrogram(clip) {
  const found = clip.spectrogram, hertz = listOf(found?.hertz).filter(isNumber);
  if (!found) return make("p", { class: "gap" }, "Not here: the spectrogram. It was not kept for this condition, or its file is not in reports/.");
  const bandOf = (value) => {
    const above = hertz.findIndex((one) => one >= value);
    return above <= 0 ? 0.5 : above - 0.5 + (value - hertz[above - 1]) / (hertz[above] - hertz[above - 1]);
  };
  const asked = [100, 250, 500, 1000, 2000, 4000, 8000, 16000];
  const apart = (hertz.length || found.bands) / 10; // labels that would touch are left out, from the top down
  const ticks = asked.filter((one) => one >= hertz[0] && one <= hertz[hertz.length - 1]).map((one) => [bandOf(one), one.toLocaleString("en")]).reverse()
    .reduce((kept, tick) => (kept.length && kept[kept.length - 1][0] - tick[0] < apart ? kept : [...kept, tick]), []);
  const { svg, x, y, inside } = timePicture(clip, 170, 0, hertz.length || found.bands, { unit: "hertz (mel scale)", label: "Mel spectrogram", ticks, speech: false });
  const hop = isNumber(found.hop_seconds) ? found.hop_seconds : windowOf(clip) / Math.max(found.frames - 1, 1);
  const start = x(-hop / 2), top = y(hertz.length || found.bands);
  inside.append(draw("image", { x: start, y: top, width: x((found.frames - 0.5) * hop) - start, height: y(0) - top, preserveAspectRatio: "none", class: "levels", href: `data:image/png;base64,${DATA.pictures[found.picture]}` }));
  return svg;
}

function decibels(clip) {
  const found = clip.spectrogram;
  if (!found) return [];
  return [`${figure(found.low_db)} dB`, make("span", { class: "level-ramp", role: "img", "aria-label": "from the quietest to the loudest" }), `${figure(found.high_db)} dB`];
}

// Where a curve crosses zero it gets a point of its own, so that both sides end there.
function withCrossings(curve) {
  return curve.flatMap((point, place) => {
    const before = curve[place - 1];
    if (!before || before[1] * point[1] >= 0) return [point];
    return [[before[0] + before[1] / (before[1] - point[1]) * (point[0] - before[0]), 0], point];
  });
}

const overWindow = (clip, curve) => (curve.length ? [[Math.min(0, curve[0][0]), curve[0][1]], ...curve, [Math.max(windowOf(clip), curve[curve.length - 1][0]), curve[curve.length - 1][1]]] : []);

function methodPicture(clip, method, clean) {
  const trace = clip.traces?.[method], own = curveOf(clip, method);
  if (!own.length) return make("p", { class: "gap" }, "Not here: this method gave nothing for this clip.");
  const curve = overWindow(clip, own), beside = clean ? overWindow(clip, curveOf(clean, method)) : [];
  const values = [...curve, ...beside].map(([, value]) => value);
  let low = Math.min(0, ...values), high = Math.max(0, ...values);
  const empty = own.every(([, value]) => value === 0);
  if (low === high) high = 1;
  low *= 1.08; high *= 1.08;
  const { svg, x, y, inside } = timePicture(clip, 116, low, high, { unit: `${trace.unit || "no unit given"}`, label: `${DATA.methods[method].name} over time` });
  const crossed = withCrossings(curve);
  for (const [class_, side] of [["for", Math.max], ["against", Math.min]]) {
    const points = crossed.map(([moment, value]) => [x(moment), y(side(0, value))]);
    inside.append(draw("path", { d: `${pathOf([[points[0][0], y(0)], ...points, [points[points.length - 1][0], y(0)]])}Z`, class: class_, fill: class_ === "against" ? "url(#crossed)" : null }));
  }
  inside.append(draw("path", { d: pathOf(curve.map(([moment, value]) => [x(moment), y(value)])), class: "trace" }));
  if (beside.length) inside.append(draw("path", { d: pathOf(beside.map(([moment, value]) => [x(moment), y(value)])), class: "trace-clean" }));
  if (empty) svg.append(write(LEFT + 8, (TOP + 116 - BOTTOM) / 2 + 4, "zero everywhere: this method finds nothing that speaks for the class", { class: "label" }));
  return svg;
}

function gainPicture(clip, gain, what) {
  const { svg, x, y, inside } = timePicture(clip, 74, 0, 1, { unit: "gain, 0 to 1", label: "What is played", ticks: [[0, "0"], [1, "1"]] });
  const points = [];
  for (let place = 0; place < gain.length; place += 2) points.push([x((place + 0.5) / 1000), y(what === "ignored" ? 1 - gain[place] : what === "clip" ? 1 : gain[place])]);
  if (points.length) inside.append(draw("path", { d: `${pathOf([[points[0][0], y(0)], ...points, [points[points.length - 1][0], y(0)]])}Z`, class: "gain" }));
  return svg;
}

// Part of the listening page: what is said of the chosen clip beside its pictures.
function barPicture(width, rows, low, high, unit, label) {
  const left = Math.min(118, width * 0.3), right = width - 62, step = 24, top = 8, bottom = top + step * rows.length;
  const x = (value) => left + (value - low) / ((high - low) || 1) * (right - left);
  const svg = draw("svg", { width, height: bottom + 36, viewBox: `0 0 ${width} ${bottom + 36}`, role: "img", "aria-label": label });
  for (const tick of ticksOf(low, high, 4)) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: top, y2: bottom, class: tick === 0 ? "zero" : "grid" }),
      write(x(tick), bottom + 14, figure(tick), { class: "tick", "text-anchor": "middle" }));
  }
  rows.forEach(({ name, value, class_, strong, pattern, title }, place) => {
    const y = top + step * place;
    svg.append(write(left - 8, y + 16, name, { class: strong ? "tick strong" : "tick", "text-anchor": "end" }));
    if (!isNumber(value)) return;
    const start = Math.min(x(0), x(value)), end = Math.max(x(0), x(value));
    svg.append(draw("rect", { x: start, y: y + 4, width: Math.max(end - start, 0.5), height: step - 8, class: class_, fill: pattern ?? null, title }),
      write(Math.max(end, x(0)) + 5, y + 16, figure(value), { class: "tick" }));
  });
  svg.append(write(width - 4, bottom + 31, unit, { class: "tick unit", "text-anchor": "end" }));
  return svg;
}

function probabilities(clip, width) {
  if (!clip.probabilities) return make("p", { class: "gap" }, "Not here: the probabilities of this clip.");
  const rows = DATA.emotions.map((emotion, place) => {
    const marks = [emotion === clip.predicted ? "▸" : "", emotion === clip.emotion ? "◆" : ""].join("");
    return { name: `${marks} ${emotion}`, value: clip.probabilities[emotion], class_: `class-${place}`, strong: marks !== "", title: `${emotion}: ${figure(clip.probabilities[emotion])}` };
  });
  const svg = barPicture(width, rows, 0, 1, "probability   (▸ the answer, ◆ what was meant)", "Probabilities of all seven emotions");
  return svg;
}

function streams(clip, width) {
  const found = clip.streams;
  byId("sum").textContent = "";
  if (!found?.phi) return make("p", { class: "gap" }, "Not here: Shapley values of streams. The model has one stream, or they were not computed for this clip.");
  const names = listOf(found.names).length ? found.names : Object.keys(found.phi);
  const values = names.map((name) => found.phi[name]).filter(isNumber);
  const rows = names.map((name) => {
    const value = found.phi[name], against = value < 0;
    return { name: plain(name), value, class_: against ? "against" : "for", pattern: against ? "url(#crossed)" : null, title: `${plain(name)}: ${figure(value)} ${found.unit ?? ""}` };
  });
  const low = Math.min(0, ...values), high = Math.max(0, ...values);
  const sum = values.reduce((total, value) => total + value, found.base ?? 0);
  byId("sum").textContent = `Score for ${clip.explained} with no stream ${figure(found.base)}, and all together ${figure(sum)}; the model's score is ${figure(found.score)}.`;
  return barPicture(width, rows, low, high === low ? 1 : high, found.unit || "no unit given", "Shapley values of the streams");
}

function headline(clip) {
  const sure = isNumber(clip.confidence) ? ` (${figure(clip.confidence)})` : "";
  if (!clip.emotion) return `Taken for ${clip.predicted}${sure}; what it was meant as is not known.`;
  return clip.emotion === clip.predicted ? `✓ Meant as ${clip.emotion}, and recognised${sure}.` : `✗ Meant as ${clip.emotion}, taken for ${clip.predicted}${sure}.`;
}

function about(clip) {
  const parts = [clip.utterance, clip.corpus && `corpus ${plain(clip.corpus)}`, conditionOf(clip)];
  if (isNumber(clip.snr_db)) parts.push(`signal-to-noise ratio ${figure(clip.snr_db)} dB`);
  if (!isClean(clip) && clip.seed !== null && clip.seed !== undefined) parts.push(`noise drawn with seed ${clip.seed}`);
  parts.push(`${inSeconds(validOf(clip))} of sound in a window of ${inSeconds(windowOf(clip))}`);
  return parts.filter(Boolean).join(" · ");
}

// What else is known of one method on one clip.
function besides(clip, method) {
  const found = [];
  const held = clip.traces?.[method]?.held, inside = clip.speech?.share?.[method], time = clip.speech?.share_of_time;
  const moved = clip.rank_correlation?.[method];
  found.push(held ? `Held fixed: ${held}.` : "Nothing was held fixed.");
  if (isNumber(inside)) found.push(`${Math.round(inside * 100)} % of what is positive lies in speech${isNumber(time) ? `, which is ${Math.round(time * 100)} % of the window` : ""}.`);
  if (onPadding(clip, method) > 0.05) found.push(`${Math.round(onPadding(clip, method) * 100)} % of it lies on padding.`);
  if (isNumber(moved)) found.push(`Rank correlation with the same utterance clean: ${figure(moved)}.`);
  return found.join(" ");
}

function drawnFigures(clip) {
  return listOf(clip.figures).map((one) => make("figure", {}, ...(one.picture === null || one.picture === undefined ? [make("p", { class: "gap" }, `${one.title}: not taken into this page; it lies in reports/ as ${one.file}, if it was drawn.`)] : [make("img", { src: `data:image/png;base64,${DATA.pictures[one.picture]}`, alt: one.title }), make("figcaption", {}, one.title)])));
}

// Part of the listening page: drawing the chosen clip, and what happens when something is pressed.
const plotOf = (name) => document.querySelector(`[data-plot="${name}"]`);
const methodFigures = [...document.querySelectorAll("figure[data-method]")];
const now = () => DATA.heard[chosen.clip];
let found = null, drawnWidth = 0;

function showMoment(moment) {
  const clip = now();
  for (const line of document.querySelectorAll(".play-head")) { line.setAttribute("x1", placeOf(clip, moment)); line.setAttribute("x2", placeOf(clip, moment)); }
  byId("moment").textContent = inSeconds(moment);
  for (const figure_ of methodFigures) {
    const curve = curveOf(clip, figure_.dataset.method);
    figure_.querySelector("output").textContent = curve.length ? `${figure(valueAt(curve, moment))} at ${inSeconds(moment)}` : "";
  }
}

function showGain() {
  const clip = now();
  found = gainOf(clip, chosen.method, chosen.share);
  plotOf("gain").replaceChildren(gainPicture(clip, found.gain, chosen.what));
  byId("said").textContent = !DATA.sounds[clip.sound] ? "Nothing can be played: the sound of this condition was not kept. Conditions with ♪ have theirs." : inWords(clip, chosen.what, chosen.method, chosen.share, found);
  showMoment(Number(byId("from").value));
  byId("said").dataset.heard = found.heard.toFixed(3);
  for (const button of document.querySelectorAll("[data-play]")) button.setAttribute("aria-pressed", String(button.dataset.play === chosen.what));
}

function showPictures() {
  const clip = now(), clean = byId("beside").checked && !isClean(clip) ? DATA.heard.find((one) => isClean(one) && sameUtterance(one, clip)) : null;
  drawnWidth = widthOf();
  plotOf("waveform").replaceChildren(waveform(clip));
  plotOf("spectrogram").replaceChildren(spectrogram(clip));
  byId("decibels").replaceChildren(...decibels(clip));
  for (const figure_ of methodFigures) {
    const method = figure_.dataset.method;
    figure_.querySelector(".plot").replaceChildren(methodPicture(clip, method, clean));
    figure_.querySelector(".held").textContent = curveOf(clip, method).length ? besides(clip, method) : "";
  }
  for (const [name, picture] of [["probabilities", probabilities], ["streams", streams]]) {
    const plot = plotOf(name);
    plot.replaceChildren(picture(clip, Math.max(plot.clientWidth, 240)));
  }
  showGain();
}

function showTwins() {
  const clip = now(), twins = DATA.heard.map((one, place) => [one, place]).filter(([one]) => sameUtterance(one, clip));
  byId("twins").replaceChildren(...(twins.length < 2 ? [] : ["The same utterance: ", ...twins.map(([one, place]) => {
    const button = make("button", { type: "button", "aria-pressed": String(place === chosen.clip), title: headline(one) }, `${signOf(one)} ${conditionOf(one)}${DATA.sounds[one.sound] ? " ♪" : ""}`);
    button.addEventListener("click", () => pick(place, true));
    return button;
  })]));
}

function showMethods() {
  const clip = now(), there = Object.keys(DATA.methods).filter((method) => curveOf(clip, method).length);
  const better = there.find((method) => !DATA.methods[method].mark);      // not one whose mark says to take it as a guess
  if (!there.includes(chosen.method)) chosen.method = better ?? there[0] ?? "";
  byId("method").replaceChildren(...there.map((method) => make("option", { value: method }, `${DATA.methods[method].name}${DATA.methods[method].mark ? ` (${DATA.methods[method].mark})` : ""}`)));
  byId("method").value = chosen.method;
  byId("share").value = chosen.share;
  for (const button of document.querySelectorAll("[data-play]")) button.disabled = !Audio_ || !DATA.sounds[clip.sound] || (button.dataset.play !== "clip" && !there.length);
}

function showClip() {
  const clip = now();
  byId("facts").hidden = byId("clip").hidden = !clip;
  if (!clip) return;
  stop();
  byId("from").max = windowOf(clip);
  byId("from").value = 0;
  byId("answer").textContent = headline(clip);
  byId("about").textContent = about(clip);
  byId("explained").textContent = clip.explained ? `Everything below explains ${clip.explained}${clip.explained === clip.predicted ? ", the answer" : `; this clip was taken for ${clip.predicted}`}.` : "";
  byId("speech-words").textContent = !clip.speech ? "speech: where it is was not determined for this clip" : listOf(clip.speech.seconds).length ? "speech by energy of the clean recording" : "speech: none was found by energy";
  byId("beside").disabled = isClean(clip) || !DATA.heard.some((one) => isClean(one) && sameUtterance(one, clip));
  const figures = drawnFigures(clip);
  byId("more").hidden = !figures.length;
  byId("gallery").replaceChildren(...figures);
  showTwins();
  showMethods();
  plainPlayer(clip);
  showPictures();
  document.body.dataset.shown = `${clip.utterance}|${clip.noise}|${clip.intensity}`;
}

function everything() {
  keepFitting();
  fillFilters();
  fillList();
  showChosen();
  showClip();
}

// `free`: the filters give way where the clip does not fit them.
function pick(place, free = false) {
  chosen.clip = place;
  if (free && !fits(now())) for (const name of Object.keys(FILTERS)) chosen[name] = "";
  everything();
  writeAddress();
}

const playFrom = (moment) => {
  byId("from").value = moment;
  play(now(), chosen.what, found.gain, moment, (at) => { showMoment(at); }, () => showMoment(Number(byId("from").value)));
};

function listen() {
  for (const name of Object.keys(FILTERS)) byId(`by-${name}`).addEventListener("change", (event) => { chosen[name] = event.target.value; everything(); writeAddress(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("all").addEventListener("click", () => { for (const name of Object.keys(FILTERS)) chosen[name] = ""; everything(); writeAddress(); });
  byId("list").addEventListener("click", (event) => { const option = event.target.closest("[data-place]"); if (option) pick(Number(option.dataset.place)); });
  byId("list").addEventListener("keydown", (event) => {
    const left = remaining().map(([, place]) => place), at = left.indexOf(chosen.clip);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: left.length - 1 }[event.key];
    if (next === undefined || !left.length) return;
    event.preventDefault();
    pick(left[Math.min(Math.max(next, 0), left.length - 1)]);
  });
  for (const button of document.querySelectorAll("[data-play]")) {
    button.addEventListener("click", () => { chosen.what = button.dataset.play; showGain(); writeAddress(); playFrom(Number(byId("from").value)); });
  }
  byId("stop").addEventListener("click", () => { stop(); showMoment(Number(byId("from").value)); });
  byId("method").addEventListener("change", (event) => { stop(); chosen.method = event.target.value; showGain(); writeAddress(); });
  byId("share").addEventListener("change", (event) => { stop(); chosen.share = event.target.value; showGain(); writeAddress(); });
  byId("from").addEventListener("input", (event) => { stop(); showMoment(Number(event.target.value)); });
  byId("beside").addEventListener("change", showPictures);
  byId("stack").addEventListener("pointermove", (event) => {
    if (!source && event.target.closest(".plot svg")) showMoment(momentAt(now(), event.clientX - byId("stack").getBoundingClientRect().left));
  });
  byId("stack").addEventListener("pointerleave", () => { if (!source) showMoment(Number(byId("from").value)); });
  byId("stack").addEventListener("click", (event) => {
    if (event.target.closest(".plot svg") && Audio_ && DATA.sounds[now().sound]) playFrom(momentAt(now(), event.clientX - byId("stack").getBoundingClientRect().left));
  });
  window.addEventListener("hashchange", () => { if (readAddress()) everything(); });
  new ResizeObserver(() => { if (now() && widthOf() !== drawnWidth) showPictures(); }).observe(byId("stack"));
}

readAddress();
byId("chooser").hidden = DATA.heard.length < 2;
if (!Audio_) cannot("This browser has no Web Audio.");
listen();
everything();
document.body.dataset.ready = "yes";

// Part of the listening page: its data, and the small makers of elements. All parts share one function's scope.
// Text from the data becomes text nodes and attributes only, never markup.
const NAMESPACE = "http://www.w3.org/2000/svg";
const report = (message) => { document.body.dataset.error = String(message); };
window.addEventListener("error", (event) => report(event.message));
window.addEventListener("unhandledrejection", (event) => report(event.reason));

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const listOf = (value) => (Array.isArray(value) ? value : []);
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function put(parent, children) {
  for (const child of children) if (child !== null && child !== undefined) parent.append(child);
  return parent;
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  return put(made, children);
}

// An SVG element; `title` becomes its hover title.
function draw(tag, { title = null, ...attributes } = {}, ...children) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(name, typeof value === "number" ? Math.round(value * 100) / 100 : value);
  }
  if (title !== null) made.append(put(document.createElementNS(NAMESPACE, "title"), [title]));
  return put(made, children);
}

const write = (x, y, words, attributes = {}) => draw("text", { x, y, ...attributes }, words);

// Three significant digits, without an exponent where there is room.
function figure(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 10000)) return value.toExponential(1).replaceAll("-", "−").replace("+", "");
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

const plain = (name) => String(name ?? "").replaceAll("_", " ");
const inSeconds = (value) => `${value.toFixed(2)} s`;
const emotionOf = (clip) => clip.emotion || "unknown";
const answered = (clip) => (clip.emotion ? (clip.emotion === clip.predicted ? "right" : "wrong") : "unknown");
const signOf = (clip) => ({ right: "✓", wrong: "✗", unknown: "?" })[answered(clip)];
const isClean = (clip) => !clip.noise || clip.noise === "clean";
const conditionOf = (clip) => (isClean(clip) ? "clean" : `${plain(clip.noise)} at ${figure(clip.intensity)}`);
const windowOf = (clip) => (isNumber(clip.window_seconds) && clip.window_seconds > 0 ? clip.window_seconds : 1);
const validOf = (clip) => (isNumber(clip.valid_seconds) ? Math.min(clip.valid_seconds, windowOf(clip)) : windowOf(clip));
const sameUtterance = (one, other) => one.utterance === other.utterance && one.corpus === other.corpus;
const decoded = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

// A method's curve of a clip as pairs of moment and value; what is no number is left out.
function curveOf(clip, method) {
  const trace = clip.traces?.[method];
  const values = listOf(trace?.values);
  return listOf(trace?.seconds).map((moment, place) => [moment, values[place]])
    .filter(([moment, value]) => isNumber(moment) && isNumber(value)).sort((one, other) => one[0] - other[0]);
}

// Linear between a curve's own moments, constant beyond them; 0 for an empty one.
function valueAt(curve, moment) {
  if (!curve.length) return 0;
  let low = 0, high = curve.length - 1;
  if (moment <= curve[low][0]) return curve[low][1];
  if (moment >= curve[high][0]) return curve[high][1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (curve[middle][0] <= moment) low = middle; else high = middle;
  }
  const [[start, before], [end, after]] = [curve[low], curve[high]];
  return end === start ? after : before + (moment - start) / (end - start) * (after - before);
}

// Round values from low to high, about `count` of them.
function ticksOf(low, high, count) {
  const span = (high - low) || 1, rough = span / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-6; tick += step) found.push(Math.abs(tick) < step / 1e6 ? 0 : tick);
  return found;
}

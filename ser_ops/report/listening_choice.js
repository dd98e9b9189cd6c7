// Part of the listening page: which clips remain, which one is chosen, and the address that says so.
const FILTERS = {
  class: { of: emotionOf, any: "any class" },
  noise: { of: (clip) => (isClean(clip) ? "clean" : String(clip.noise)), any: "any noise" },
  intensity: { of: (clip) => (isClean(clip) ? "0" : String(clip.intensity)), any: "any intensity" },
  answer: { of: answered, any: "right or wrong" },
};
const chosen = { class: "", noise: "", intensity: "", answer: "", clip: null, method: "", share: "curve", what: "used" };

const fits = (clip, leftOut = "") => Object.entries(FILTERS).every(([name, filter]) => name === leftOut || !chosen[name] || filter.of(clip) === chosen[name]);
const remaining = () => DATA.heard.map((clip, place) => [clip, place]).filter(([clip]) => fits(clip));

// Every value of a filter with how many clips it would leave, the other filters as they are.
function fillFilters() {
  for (const [name, filter] of Object.entries(FILTERS)) {
    const others = DATA.heard.filter((clip) => fits(clip, name));
    const values = [...new Set(DATA.heard.map(filter.of))];
    if (name === "intensity") values.sort((one, other) => Number(one) - Number(other));
    if (name === "class") values.sort((one, other) => DATA.emotions.indexOf(one) - DATA.emotions.indexOf(other));
    const options = [["", `${filter.any} (${others.length})`], ...values.map((value) => [value, `${name === "intensity" && value === "0" ? "clean" : plain(value)} (${others.filter((clip) => filter.of(clip) === value).length})`])];
    const select = byId(`by-${name}`);
    select.replaceChildren(...options.map(([value, words]) => make("option", { value }, words)));
    select.value = chosen[name];
  }
}

function fillList() {
  const left = remaining(), list = byId("list");
  byId("remaining").textContent = left.length ? `${left.length} of ${DATA.heard.length} clips remain.` : "No clip fits. Loosen a filter.";
  document.body.dataset.remaining = left.length;
  list.replaceChildren(...left.map(([clip, place]) => make("li", { role: "option", id: `clip-${place}`, "data-place": place, "aria-selected": String(place === chosen.clip) },
    make("b", { class: { right: "ok", wrong: "no", unknown: "idle" }[answered(clip)] }, signOf(clip)), ` ${DATA.sounds[clip.sound] ? "♪" : "   "} ${emotionOf(clip)}${answered(clip) === "wrong" ? ` → ${clip.predicted}` : ""} · ${conditionOf(clip)} `, make("code", {}, clip.utterance))));
  if (chosen.clip !== null && fits(DATA.heard[chosen.clip])) list.setAttribute("aria-activedescendant", `clip-${chosen.clip}`);
  else list.removeAttribute("aria-activedescendant");
}

// Only the list scrolls: the page stays where the reader is.
function showChosen() {
  const list = byId("list"), option = byId(`clip-${chosen.clip}`);
  if (!option) return;
  const top = option.offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + option.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + option.offsetHeight - list.clientHeight;
}

// The address's fragment, such as #class=angry&noise=white; one without "=" is a place on the page and changes nothing.
function readAddress() {
  const words = window.location.hash.slice(1);
  if (!words.includes("=")) return false;
  const asked = new URLSearchParams(words);
  for (const name of Object.keys(FILTERS)) chosen[name] = asked.get(name) ?? "";
  if (asked.get("method") in DATA.methods) chosen.method = asked.get("method");
  if ([...byId("share").options].some((option) => option.value === asked.get("share"))) chosen.share = asked.get("share");
  if (["clip", "used", "ignored"].includes(asked.get("what"))) chosen.what = asked.get("what");
  const place = asked.has("clip") ? Number(asked.get("clip")) : null;
  if (place !== null && DATA.heard[place]) chosen.clip = place;
  return true;
}

function writeAddress() {
  const words = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value !== "" && value !== null));
  try { window.history.replaceState(null, "", `#${words}`); } catch { /* some browsers forbid it for files: the page works without */ }
}

// Where the chosen clip does not fit the filters, the first that does is chosen.
function keepFitting() {
  const left = remaining();
  if (left.length && (chosen.clip === null || !fits(DATA.heard[chosen.clip]))) chosen.clip = left[0][1];
}

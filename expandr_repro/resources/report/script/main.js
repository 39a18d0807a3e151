// What is chosen, and what follows when that changes.

const choice = { study: 0, run: 1, part: "all", topic: null };
let order = []; // by gain, of the part that is chosen
let range = null; // highest and lowest difference that the plots have room for
let within = null; // the topics that the search finds; null where nothing is searched
let walking = false; // whether the newest entry of the history was made by arrow keys
let texts = []; // what the search looks at
const orders = new Map(); // sort -> topics, made when first asked for
const collator = new Intl.Collator("en", { numeric: true });
const SORTS = {
  gain: (a, b) => view.difference(b) - view.difference(a) || a - b,
  loss: (a, b) => view.difference(a) - view.difference(b) || a - b,
  id: (a, b) => collator.compare(view.qid(a), view.qid(b)),
};

/** What plots, list and topic ask about the chosen condition. Topics are numbers, in the order of the qrels. */
const view = {
  now: () => ({ choice, study: study(choice), run: study(choice).runs[choice.run], collection: collection(choice), number: study(choice).collection, name: `s${choice.study}` }),
  chosen: () => choice.topic,
  order: () => order,
  count: () => collection(choice).qids.length,
  counts: () => partOf(study(choice).runs[choice.run], choice.part).against[0],
  range: () => (range ??= rangeOf(data.studies)),
  within: (topic) => within === null || within.has(topic),
  qid: (topic) => collection(choice).qids[topic],
  title: (topic) => collection(choice).titles[topic] || `topic ${collection(choice).qids[topic]}`,
  name: (topic) => `${view.qid(topic)}: ${view.title(topic)}`,
  base: (topic) => study(choice).runs[0].scores[topic] / data.scale,
  score: (topic) => study(choice).runs[choice.run].scores[topic] / data.scale,
  difference: (topic) => (study(choice).runs[choice.run].scores[topic] - study(choice).runs[0].scores[topic]) / data.scale,
  scores: (topic, digits = 4, change = true) => `${view.base(topic).toFixed(digits)} \u2192 ${view.score(topic).toFixed(digits)}${change ? ` (${signed(view.difference(topic), digits)})` : ""}`,
};

/** The scale of differences, in whole ticks: one for all conditions of the page and all parts, so that plots can be compared. */
function rangeOf(studies) {
  let [high, low] = [0.1, -0.1]; // room for the labels on both sides
  for (const s of studies) {
    for (const run of s.runs.slice(1)) {
      run.scores.forEach((score, topic) => {
        const change = (score - s.runs[0].scores[topic]) / data.scale;
        high = Math.max(high, change);
        low = Math.min(low, change);
      });
    }
  }
  return [Math.ceil(high * 4) / 4, -Math.ceil(-low * 4) / 4];
}

const list = topicList(view, openTopic);
const bars = chart("bars", view, drawBars(view), (topic) => openTopic(topic, true));
const scatter = chart("scatter", view, drawScatter(view), (topic) => openTopic(topic, true));

/** Show a topic; `move` takes the reader to it, `how` is for the history (see `remember`). */
function openTopic(topic, move, how = "step") {
  choice.topic = topic;
  renderTopic(view, stepButtons());
  list.reveal();
  bars.mark();
  scatter.mark();
  remember(how);
  if (move) {
    byId("topic-title").focus({ preventScroll: true });
    const { top } = byId("topic").getBoundingClientRect();
    if (top < 0 || top > window.innerHeight * 0.6) byId("topic").scrollIntoView({ block: "start" });
  }
}

const stepButtons = () => [stepButton("\u2190", "Previous topic", -1), stepButton("\u2192", "Next topic", 1)];

function stepButton(sign, label, step) {
  const to = list.beside(step);
  return el("button", { type: "button", class: "quiet", "aria-label": label, disabled: to === null, text: sign, onclick: () => {
    openTopic(to, false);
    (byId("topic").querySelector(`[aria-label="${label}"]:enabled`) ?? byId("topic-title")).focus();
  } });
}

function choose(next, qid = null, how = "step") {
  const before = study(choice).collection;
  Object.assign(choice, next);
  const { run, study: s, collection: c } = view.now();
  const parts = partsOf(s);
  if (!parts.some((p) => p.part === choice.part && p.count)) choice.part = "all";
  const kept = (topic) => choice.part === "all" || Boolean(c.seen[topic]) === (choice.part === "seen");
  order = Array.from(s.runs[0].scores.keys()).filter(kept).sort(SORTS.gain);
  byId("parts").hidden = parts.length === 1;
  byId("part").replaceChildren(...parts.map((p) => el("option", { value: p.part, disabled: !p.count, text: `${p.label} (${whole(p.count)})` })));
  byId("part").value = choice.part;
  orders.clear();
  texts = view.now().collection.qids.map((id, topic) => `${id} ${view.title(topic)}`.toLowerCase());
  if (before !== s.collection) {
    choice.topic = null;
    byId("search").value = "";
  }
  if (choice.topic !== null && !kept(choice.topic)) choice.topic = null;
  byId("condition").value = `${choice.study} ${choice.run}`;
  for (const row of byId("scores").querySelectorAll("tr[data-run]")) {
    if (row.dataset.run === run.name) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  for (const id of ["bars", "scatter"]) byId(id).setAttribute("aria-label", `${data.measures[0].name} of ${run.name} against ${s.runs[0].name}, topic by topic`);
  renderHeadline(s, run);
  search();
  renderCosts(s, choice.run, (number) => choose({ run: number }));
  const asked = qid === null ? -1 : c.qids.indexOf(qid);
  openTopic(asked >= 0 && kept(asked) ? asked : choice.topic ?? list.shown[0] ?? order[0], false, how);
}

function renderHeadline(s, run) {
  const [before, after] = [s.runs[0], run].map((each) => partOf(each, choice.part).means[0]);
  const a = view.counts();
  const number = (what, value, kind = "") => el("div", {}, el("div", { class: "what", text: what }), el("div", { class: `big ${kind}`, text: value }));
  byId("headline").replaceChildren(
    number(`baseline ${data.measures[0].name}`, fixed(before)),
    number(`condition ${data.measures[0].name}`, fixed(after)),
    number(`difference, ${stated(a.p_holm)}${significant(a) ? "" : ": no significant change"}`, signed(a.difference), significant(a) ? direction(a.difference) : "level"),
    el("div", {}, splitBar(a), el("div", { class: "counts" },
      el("span", { class: "up", text: `\u25b2 ${whole(a.wins)} better` }), el("span", { class: "level", text: `${whole(a.ties)} equal` }), el("span", { class: "down", text: `\u25bc ${whole(a.losses)} worse` }),
      el("span", { class: "level", text: `oracle ${signed(a.oracle)}`, title: "the difference of whoever chose the better of the two for each topic: the bound of any gate" }))));
}

/** Fill the list with the topics that hold all the words typed, in the order asked for. */
function search() {
  const wanted = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const sort = byId("sort").value;
  if (!orders.has(sort)) orders.set(sort, [...order].sort(SORTS[sort]));
  const topics = orders.get(sort);
  const shown = wanted.length ? topics.filter((topic) => wanted.every((word) => texts[topic].includes(word))) : topics;
  within = wanted.length ? new Set(shown) : null;
  list.fill(shown);
  byId("topic").querySelector(".step")?.replaceChildren(...stepButtons());
  bars.draw();
  scatter.draw();
}

/**
 * Keep the choice in the address, so that a link leads to it and Back to the one before. A "step" is an entry of the history, a
 * "walk" by arrow keys is one entry however long it is; "same" takes the place of the entry, and "back" comes from the history.
 */
function remember(how) {
  if (how === "back") walking = false;
  const address = new URLSearchParams({ run: view.now().run.name, topic: view.qid(choice.topic), ...(choice.part === "all" ? {} : { part: choice.part }) });
  try {
    if (how === "back" || `#${address}` === location.hash) return;
    const replaces = how === "same" || (how === "walk" && walking);
    walking = how === "walk";
    history[replaces ? "replaceState" : "pushState"](null, "", `#${address}`);
  } catch { /* a browser may forbid it for a page in a frame; the page works without */ }
}

function remembered() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const [number, s] of data.studies.entries()) {
    const run = s.runs.findIndex((r) => r.name === asked.get("run"));
    if (run > 0) return [{ study: number, run, part: asked.get("part") ?? "all" }, asked.get("topic")];
  }
  const largest = bestRun();
  return [{ study: data.studies.indexOf(largest.study), run: largest.study.runs.indexOf(largest.run) }, null];
}

function start() {
  renderAbout();
  renderTable((next) => {
    choose(next);
    byId("explorer").scrollIntoView();
    byId("condition").focus({ preventScroll: true });
  });
  renderCaution();
  for (const [number, s] of data.studies.entries()) {
    const group = el("optgroup", { label: studyLabel(s) });
    s.runs.forEach((run, place) => place && group.append(el("option", { value: `${number} ${place}`, text: run.name })));
    byId("condition").append(group);
  }
  byId("condition").addEventListener("change", (event) => {
    const [number, run] = event.target.value.split(" ").map(Number);
    choose({ study: number, run });
  });
  byId("part").addEventListener("change", (event) => choose({ part: event.target.value }));
  byId("search").addEventListener("input", search);
  byId("search").addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === "ArrowDown") && list.shown.length) {
      event.preventDefault();
      openTopic(list.shown[0], event.key === "Enter");
      if (event.key === "ArrowDown") byId("list").focus();
    }
  });
  byId("sort").addEventListener("change", () => {
    search();
    if (list.shown.length) openTopic(list.shown[0], false);
  });
  byId("topic").addEventListener("keydown", (event) => event.key === "Escape" && byId("list").focus());
  window.addEventListener("popstate", () => choose(...remembered(), "back"));
  choose(...remembered(), "same");
  themeButton(() => {
    bars.draw();
    scatter.draw();
  });
}

start();

// Data, pieces of it that are parsed when first needed, and the few helpers that everything else is made of.
// Whatever comes from data reaches the page as text: `el` and `textContent` know no markup.

const byId = (id) => document.getElementById(id);
const read = (id) => JSON.parse(byId(id).textContent);
const data = read("data");
const pieces = new Map();

/** Item `index` of a list that is cut into pieces of `size`. */
function item(list, index, size) {
  const name = `${list}.${Math.floor(index / size)}`;
  if (!pieces.has(name)) pieces.set(name, read(name));
  return pieces.get(name)[index % size];
}

/** Make an element: attributes (`class`, `text`, `on...` handlers, anything else by name), then children; null is left out. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((c) => c !== null && c !== undefined));
  return made;
}

const fixed = (value) => value.toFixed(4);
const whole = (value) => value.toLocaleString("en");
const plural = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;

/** A difference with its sign, a true minus, and no sign where nothing is left after rounding. */
function signed(value, digits = 4) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value > 0 ? "+" : "\u2212") + text;
}

const direction = (value) => (Math.abs(value) < 1e-9 ? "level" : value > 0 ? "up" : "down");

function probability(p) {
  if (p === null) return "\u2013";
  return p < 0.0001 ? "< 0.0001" : p.toFixed(4);
}

/** A p-value in a sentence. */
const stated = (p) => (p === null ? "no p-value" : `p ${p < 0.0001 ? "" : "= "}${probability(p)}`);

/** A colour of the style sheet as canvas understands it, in the theme of the moment. */
function colour(name) {
  const probe = byId("theme");
  const before = probe.style.color;
  probe.style.color = `var(--${name})`;
  const resolved = getComputedStyle(probe).color;
  probe.style.color = before;
  return resolved;
}

/** Better, equal and worse as one bar; the numbers are next to it, so it is hidden from screen readers. */
function splitBar(against) {
  const bar = el("span", { class: "split", "aria-hidden": "true" });
  for (const [kind, count] of [["g", against.wins], ["e", against.ties], ["l", against.losses]]) {
    const part = el("i", { class: kind });
    part.style.flexGrow = count;
    if (count) bar.append(part);
  }
  return bar;
}

const study = (choice) => data.studies[choice.study];
const collection = (choice) => data.collections[study(choice).collection];
const studyLabel = (s) => [data.collections[s.collection].label, s.retriever].filter(Boolean).join(" \u00b7 ");
const setOf = (s, run) => (run.set === null ? null : data.collections[s.collection].sets[run.set]);

/** The parts of a study's topics: all, and where a model saw some of them in training the seen and the unseen ones. */
function partsOf(s) {
  const c = data.collections[s.collection];
  const seen = c.seen ? c.seen.reduce((sum, one) => sum + one, 0) : 0;
  const all = [{ part: "all", label: "all", count: c.qids.length }];
  return c.seen ? [...all, { part: "seen", label: "seen in training", count: seen }, { part: "unseen", label: "unseen", count: c.qids.length - seen }] : all;
}

/** Means and comparison of a run on a part of the topics. */
const partOf = (run, part) => (part === "all" ? run : run.parts[part]);

/** Say whether a difference is beyond what chance makes of two equally good rankings. */
const significant = (against) => against.p_holm !== null && against.p_holm < 0.05;

/** What a condition does to a metric, in words: no more than its p-value allows. */
function verdict(metric, base, mean, against) {
  if (base === null) return `no topic to tell ${metric} by`;
  const change = `from ${fixed(base)} to ${fixed(mean)}`;
  return significant(against) ? `${against.difference > 0 ? "raises" : "lowers"} ${metric} ${change}` : `makes no significant change to ${metric} (${change})`;
}

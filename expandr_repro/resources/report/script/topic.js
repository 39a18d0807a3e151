// One topic: query, expansion with marks, both rankings, and the text of a document on a click.

const WORDS = /[\p{L}\p{N}_]+/gu;
const [NEW, ASKED] = ["+", "="];

function renderTopic(view, steps) {
  const box = byId("topic");
  const topic = view.chosen();
  if (topic === null) {
    box.replaceChildren(el("p", { class: "empty", text: "Choose a topic." }));
    return;
  }
  const words = new Map(); // marked word -> its kind, for the documents
  box.replaceChildren(
    el("div", { class: "head" }, el("span", {}, "topic ", el("code", { text: view.qid(topic) })), el("span", { class: "step" }, ...steps)),
    el("h3", { id: "topic-title", tabindex: -1, text: view.title(topic) }),
    scoreLine(view, topic),
    ...(view.now().collection.seen?.[topic] ? [el("p", { class: "flag seen", text: "A model of these runs saw this topic or a relevant document of it in training" })] : []),
    ...expansionPart(view, topic, words),
    ...rankingPart(view, topic, words),
  );
}

function scoreLine(view, topic) {
  const change = view.difference(topic);
  return el("p", { class: "score" }, `${data.measures[0].name} `, el("b", { text: fixed(view.base(topic)) }), " \u2192 ", el("b", { text: fixed(view.score(topic)) }),
    "  ", el("b", { class: direction(change), text: direction(change) === "level" ? "unchanged" : signed(change) }));
}

function expansionPart(view, topic, words) {
  const { run, collection: c } = view.now();
  if (run.set === null) return [];
  const [texts, repeats] = item(`t${view.now().number}`, topic, data.size.topics)[run.set];
  const made = [el("h4", { text: texts.length > 1 ? `Expansions (${texts.length})` : "Expansion" })];
  if (!texts.length) return [...made, el("p", { class: "key", text: "This topic has none; the query was searched alone." })];
  if (repeats) made.push(el("p", { class: "flag", text: "Repeats six words or more in a row of a relevant document" }));
  for (const pieces of texts) made.push(el("p", { class: "expansion" }, ...pieces.map((piece) => marked(piece, words))));
  made.push(c.texts ? markKey() : el("p", { class: "key", text: "The documents are not on the page, so no words are marked." }));
  return made;
}

function marked(piece, words) {
  const [kind, text] = [piece[0], piece.slice(1)];
  if (kind !== NEW && kind !== ASKED) return text;
  words.set(text.toLowerCase(), kind);
  return el("mark", { class: kind === ASKED ? "asked" : null, text });
}

function markKey() {
  return el("details", { class: "key" },
    el("summary", {}, el("mark", { text: "new" }), " and ", el("mark", { class: "asked", text: "query" }), " words of relevant documents: how marking works"),
    el("p", { text: "A word of the expansion is marked if it occurs in a document that was judged relevant for this topic: with a solid line if it is new, with a dotted one if the query has it already. Words are compared as written, but for capitals; word forms (cell, cells) are different words. Stopwords such as \u201cthe\u201d and single characters are never marked. The whole documents count, also where the page shows only their beginning. Below, the same words are marked in the documents." }));
}

function rankingPart(view, topic, words) {
  const { name, study: s, run, choice, collection: c } = view.now();
  const [numbers, grades, ranks] = item(name, topic, data.size.topics);
  const [before, after] = [ranks[0], ranks[choice.run]];
  const sides = [
    { title: "Baseline", run: s.runs[0], here: before, there: after, move: movedTo },
    { title: "Condition", run, here: after, there: before, move: movedFrom },
  ];
  const open = (number, grade) => documentPart(view, number, grade, words);
  const made = sides.map((side) => {
    const list = el("ol", { class: "ranks" });
    numbers.map((_, i) => i).filter((i) => side.here[i] && side.here[i] <= data.depth).sort((a, b) => side.here[a] - side.here[b])
      .forEach((i) => list.append(hit(view, numbers[i], grades[i], side.here[i], side.move(side.here[i], side.there[i]), open)));
    if (!list.children.length) list.append(el("li", { class: "empty", text: "The run has no documents for this topic." }));
    return el("div", {}, el("h5", {}, side.title, el("span", { text: side.run.name })), list);
  });
  const out = [el("h4", { text: "Rankings" }), el("div", { class: "sides" }, ...made)];
  const lower = numbers.map((_, i) => i).filter((i) => grades[i] !== null && grades[i] >= c.relevant_from && !inSight(before[i]) && !inSight(after[i]));
  if (lower.length) {
    const list = el("ol", { class: "ranks" });
    for (const i of lower) list.append(hit(view, numbers[i], grades[i], null, { text: `${place(before[i])} \u2192 ${place(after[i])}`, long: `baseline: ${place(before[i])}, condition: ${place(after[i])}` }, open));
    out.push(el("h4", { text: `Relevant, but not among the first ${data.depth} of either: rank in baseline \u2192 in condition` }), list);
    if (lower.length >= data.depth) out.push(el("p", { class: "note", text: `At most ${data.depth} are listed.` }));
  }
  out.push(el("p", { class: "note", text: "Click a document for its text. On the right of each is its rank in the other ranking: \u2192 5 means that the condition moved it to rank 5, \u25b2 from 24 that the baseline had it at rank 24. Documents with neither \u201crelevant\u201d nor \u201cnot relevant\u201d were not judged, and count as not relevant." }));
  return out;
}

const inSight = (rank) => rank > 0 && rank <= data.depth;
const place = (rank) => (rank ? `rank ${whole(rank)}` : "not found");

function movedTo(here, there) {
  if (!there) return { text: "\u2192 out", long: "the condition does not find it" };
  return { text: here === there ? "=" : `\u2192 ${whole(there)}`, long: `the condition has it at ${place(there)}` };
}

function movedFrom(here, there) {
  if (!there) return { text: "\u25b2 new", long: "the baseline does not find it" };
  const text = here === there ? "=" : `${here < there ? "\u25b2" : "\u25bc"} from ${whole(there)}`;
  return { text, long: `the baseline has it at ${place(there)}` };
}

function hit(view, number, grade, rank, move, open) {
  const record = documentOf(view, number);
  const c = view.now().collection;
  const relevant = grade !== null && grade >= c.relevant_from;
  const label = grade === null ? null : relevant ? `relevant${grade > 1 ? ` (grade ${grade})` : ""}` : `not relevant${grade > 0 ? ` (grade ${grade})` : ""}`;
  const entry = el("li", { class: relevant ? "relevant" : null, "data-doc": number });
  const button = el("button", { type: "button", class: "hit", "aria-expanded": "false" },
    el("span", { class: "n", text: rank === null ? "" : String(rank) }),
    el("span", {}, el("span", { class: "t", text: record.heading }), label && el("span", { class: `grade${relevant ? "" : " no"}`, text: label })),
    el("span", { class: "m", title: move.long }, el("span", { "aria-hidden": "true", text: move.text }), el("span", { class: "hidden", text: move.long })));
  button.addEventListener("click", () => {
    const opened = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!opened));
    if (opened) button.nextElementSibling.remove();
    else entry.append(open(number, grade));
  });
  const twins = (on) => byId("topic").querySelectorAll(`[data-doc="${number}"]`).forEach((other) => other !== entry && other.classList.toggle("twin", on));
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) entry.addEventListener(event, () => twins(on));
  entry.append(button);
  return entry;
}

function documentOf(view, number) {
  const [docid, title, text, total] = item(`d${view.now().number}`, number, data.size.documents);
  const start = text.slice(0, 160);
  return { docid, title, text, total, heading: title || (start.length < text.length ? `${start}\u2026` : start) || docid };
}

function documentPart(view, number, grade, words) {
  const record = documentOf(view, number);
  const where = [`document ${record.docid}`];
  if (grade !== null) where.push(`grade ${grade}`);
  if (record.total) where.push(`cut after ${whole(data.words)} of ${plural(record.total, "word")}`);
  const missing = view.now().collection.texts ? "The corpus has no text for this document." : "The documents are not on the page.";
  return el("div", { class: "doc" },
    record.text ? el("p", {}, ...documentPieces(record.text, words), record.total ? " \u2026" : "") : el("p", { text: record.title ? "" : missing }),
    el("p", { class: "where", text: where.join(" \u00b7 ") }));
}

/** A document's text with the words that were marked in the expansion. */
function documentPieces(text, words) {
  const made = [];
  let plain = 0;
  for (const found of text.matchAll(WORDS)) {
    const kind = words.get(found[0].toLowerCase());
    if (!kind) continue;
    made.push(text.slice(plain, found.index), el("mark", { class: kind === ASKED ? "asked" : null, text: found[0] }));
    plain = found.index + found[0].length;
  }
  made.push(text.slice(plain));
  return made;
}

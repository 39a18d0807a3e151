// The board: one row per condition or published score; filters, search and order are kept in the address, so that Back finds them again.

const FILTERS = ["collection", "retriever", "method", "llm", "status"];
const DASH = "\u2013";
const SHORT = /[,']/; // where the short name of a source ends
const collator = new Intl.Collator("en", { numeric: true });
const metric = () => byId("metric").value;

/** What others claim for the metric that is shown: the claim about the same data first. */
const claimOf = (cell) => cell.published.filter((c) => c.metric === metric()).sort((a, b) => Number(Boolean(a.note)) - Number(Boolean(b.note)))[0] ?? null;
const valueOf = (cell) => cell.values[metric()] ?? null;
const againstOf = (cell) => cell.against?.[metric()] ?? null;
const gapOf = (cell) => (claimOf(cell) && valueOf(cell) !== null ? valueOf(cell) - claimOf(cell).value : null);
const costIn = (cell) => (cell.tokens ?? null) !== null ? "tokens" : (cell.words ?? null) !== null ? "words" : null;

/** The difference to the baseline, which costs nothing, for 1,000 tokens or words. */
function gainOf(cell) {
  const cost = costIn(cell) ? cell[costIn(cell)] : 0;
  return cost && againstOf(cell) ? perThousand(againstOf(cell).difference, cost) : null;
}

/** Columns: heading, the value that orders rows (null goes last), and what the cell shows; `most` puts the largest first. */
const COLUMNS = [
  { id: "collection", label: "collection", value: (c) => c.collection, show: (c) => c.collection },
  { id: "retriever", label: "retriever", value: (c) => c.retriever, show: (c) => c.retriever },
  { id: "method", label: "method", value: (c) => c.method, show: (c) => c.method },
  { id: "llm", label: "LLM", value: (c) => c.llm || null, show: (c) => c.llm || DASH },
  { id: "score", label: "reproduced", most: true, value: valueOf, show: (c) => (valueOf(c) === null ? el("span", { class: "level", text: c.status }) : el("span", {}, el("b", { text: fixed(valueOf(c)) }), c.status === "reproduced" ? null : el("span", { class: "source", text: c.status }))) },
  { id: "published", label: "published", most: true, value: (c) => claimOf(c)?.value ?? null, show: showClaim },
  { id: "gap", label: "difference", most: true, value: (c) => (gapOf(c) === null ? null : Math.abs(gapOf(c))), show: (c) => (gapOf(c) === null ? DASH : el("span", { title: claimOf(c).note || null, text: `${signed(gapOf(c))}${claimOf(c).note ? "*" : ""}` })) },
  { id: "change", label: "\u0394 to baseline", most: true, value: (c) => againstOf(c)?.difference ?? null, show: showChange },
  { id: "p", label: "p (Holm)", value: (c) => againstOf(c)?.p_holm ?? null, show: (c) => (againstOf(c) ? probability(againstOf(c).p_holm) : DASH) },
  { id: "topics", label: "better / worse", most: true, value: (c) => againstOf(c)?.wins ?? null, show: showTopics },
  { id: "contamination", label: "contamination", most: true, value: (c) => (c.contamination?.shared ?? null) === null ? null : c.contamination.shared / c.contamination.topics, show: (c) => (c.contamination?.shared ?? null) === null ? DASH : `${Math.round((100 * c.contamination.shared) / c.contamination.topics)} % (${whole(c.contamination.shared)})` },
  { id: "seen", label: "seen / unseen", most: true, value: (c) => c.seen ?? null, show: showSeen },
  { id: "cost", label: "cost per query", value: (c) => (costIn(c) ? c[costIn(c)] : null), show: showCost },
];
const STARTING = "status";
const SORTS = [{ id: STARTING, label: "what there is" }, ...COLUMNS, { id: "gain", label: "gain for its cost", most: true, value: gainOf }];

function showClaim(cell) {
  const claim = claimOf(cell);
  if (!claim) return DASH;
  return el("span", { title: [claim.source, claim.note].filter(Boolean).join("; ") }, fixed(claim.value), el("span", { class: "source", text: claim.source.split(SHORT)[0] }));
}

function showChange(cell) {
  const against = againstOf(cell);
  if (!against) return cell.baseline ? el("span", { class: "level", text: "baseline" }) : DASH;
  return el("span", { class: significant(against) ? direction(against.difference) : "level", text: signed(against.difference) });
}

function showTopics(cell) {
  const against = againstOf(cell);
  if (!against) return DASH;
  const cellOf = el("span", {}, el("span", { class: "pair", text: `${whole(against.wins)} / ${whole(against.losses)}` }), splitBar(against));
  return cellOf;
}

function showSeen(cell) {
  if ((cell.seen ?? null) === null) return DASH;
  if (!cell.seen) return "none seen";
  const means = ["seen", "unseen"].map((part) => cell.parts[part]?.means[metric()] ?? null);
  const scores = means.every((mean) => mean !== null) ? el("span", { class: "source", text: means.map(fixed).join(" / ") }) : null;
  return el("span", {}, `${whole(cell.seen)} / ${whole(cell.topics - cell.seen)}`, scores);
}

function showCost(cell) {
  const unit = costIn(cell);
  if (!unit) return DASH;
  if (!cell[unit]) return "0";
  const gain = gainOf(cell) === null ? null : el("span", { class: "source", text: `${signed(gainOf(cell))} per 1,000` });
  return el("span", {}, `${whole(Math.round(cell[unit]))} ${unit}`, gain);
}

const ORDER = ["reproduced", "pinned only", "not pinned", "published only"];
let down = false; // whether the order is turned round

function shownCells() {
  const wanted = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = FILTERS.map((id) => [id, byId(id).value]).filter(([, value]) => value);
  const cells = data.cells.filter((cell) => {
    if (!chosen.every(([id, value]) => labelOf(cell, id) === value)) return false;
    const text = [cell.name, cell.collection, cell.retriever, cell.method, cell.llm, cell.status, ...cell.published.map((c) => c.source)].join(" ").toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  const column = SORTS.find((c) => c.id === byId("sort").value);
  if (!column?.value) return down ? [...cells].reverse() : cells;
  const compare = (a, b) => (typeof a === "number" ? (column.most ? b - a : a - b) : collator.compare(a, b));
  return cells.map((cell, i) => [column.value(cell), i, cell]).sort(([a, i], [b, j]) => {
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    return (a === null ? 0 : (down ? -1 : 1) * compare(a, b)) || i - j;
  }).map(([, , cell]) => cell);
}

const labelOf = (cell, id) => cell[id] || "none";

function render() {
  const cells = shownCells();
  const sorted = byId("sort").value;
  const head = el("tr", { role: "row" });
  for (const column of COLUMNS) {
    const here = sorted === column.id;
    const order = here ? (Boolean(column.most) === !down ? "descending" : "ascending") : null;
    head.append(el("th", { scope: "col", role: "columnheader", "aria-sort": order },
      el("button", { type: "button", class: "sorter", "data-sort": column.id, text: column.label, onclick: () => sortBy(column.id) }, here ? el("span", { "aria-hidden": "true", text: order === "descending" ? " \u25bc" : " \u25b2" }) : null)));
  }
  const body = el("tbody", { role: "rowgroup" });
  for (const cell of cells) {
    const row = el("tr", { role: "row", "data-name": cell.name || `${cell.collection} ${cell.retriever} ${cell.method} ${cell.llm}`, class: cell.baseline ? "base" : null });
    COLUMNS.forEach((column, i) => {
      const shown = column.show(cell);
      if (column.id === "method") row.append(el("th", { scope: "row", role: "rowheader" }, cell.name ? el("a", { class: "name", href: `cells/${cell.name}.html`, "aria-label": `${cell.collection}, ${cell.retriever}, ${cell.method}${cell.llm ? `, ${cell.llm}` : ""}` }, cell.method) : el("span", { class: "name", text: cell.method })));
      else row.append(el("td", { role: "cell", "data-label": column.label, class: [i < 4 ? "words" : "", shown === DASH ? "none" : ""].join(" ").trim() || null }, shown));
    });
    body.append(row);
  }
  byId("board").replaceChildren(el("thead", { role: "rowgroup" }, head), body);
  byId("count").textContent = cells.length === data.cells.length ? plural(cells.length, "row") : `${whole(cells.length)} of ${plural(data.cells.length, "row")}`;
  if (!cells.length) body.append(el("tr", { role: "row" }, el("td", { role: "cell", class: "empty", colspan: COLUMNS.length, text: "No row has all of this." })));
  renderFront(cells);
  remember();
}

/** The plot of the collection and retriever of the first row that has a cost. */
function renderFront(cells) {
  const first = cells.find((cell) => valueOf(cell) !== null && costIn(cell));
  const group = first ? data.cells.filter((c) => c.collection === first.collection && c.retriever === first.retriever && valueOf(c) !== null && costIn(c)) : [];
  const unit = costUnit(group.map((c) => ({ tokens: c.tokens ?? null, words: c.words ?? null })));
  byId("costs").hidden = !unit;
  if (!unit) return;
  byId("costs-of").textContent = `${first.collection}, ${first.retriever}, ${metric()}: one point per condition; filled ones are on the Pareto front. Filter the table for another collection or retriever.`;
  drawCosts(byId("costs").lastElementChild, group.map((c) => ({ name: [c.method, c.llm].filter(Boolean).join(", "), cost: c[unit], score: valueOf(c), chosen: false, open: () => { location.href = `cells/${c.name}.html`; } })), unit, metric());
}

function sortBy(id) {
  down = byId("sort").value === id ? !down : false;
  byId("sort").value = id;
  render();
  byId("board").querySelector(`[data-sort="${id}"]`).focus();
}

/** Keep what is chosen in the address. */
function remember() {
  const address = new URLSearchParams([...new FormData(byId("filters"))].filter(([name, value]) => value && !(name === "metric" && value === data.metrics[0]) && !(name === "sort" && value === STARTING)));
  if (down) address.set("down", "1");
  try {
    history.replaceState(null, "", `#${address}`);
  } catch { /* a browser may forbid it for a page in a frame; the page works without */ }
}

function restore() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const control of byId("filters").elements) {
    if (!control.name) continue;
    control.value = asked.get(control.name) ?? "";
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.selectedIndex = 0;
  }
  down = asked.get("down") === "1";
  render();
}

/** What a reader should know first: what is reproduced, how near to what is published, and what is beyond chance. */
function renderLede() {
  const kept = data.cells.filter((c) => c.status === "reproduced");
  const pairs = data.cells.flatMap((c) => c.published.filter((claim) => !claim.note && claim.metric in c.values).map((claim) => Math.abs(c.values[claim.metric] - claim.value)));
  const equal = pairs.filter((gap) => gap < 0.00005).length;
  const tests = kept.map((c) => c.against?.[data.metrics[0]]).filter(Boolean);
  const beyond = tests.filter(significant);
  const raised = beyond.filter((a) => a.difference > 0).length;
  byId("lede").append(el("strong", { text: `${plural(kept.length, "condition")} of ${whole(data.cells.length)} rows reproduced, with the runs.` }),
    pairs.length ? ` ${whole(equal)} of ${plural(pairs.length, "published score")} that can be compared are the same to four decimals; the largest difference is ${fixed(Math.max(...pairs))}.` : "",
    tests.length ? ` Of ${plural(tests.length, "expansion")} tested, ${whole(raised)} raise ${data.metrics[0]} beyond chance, ${whole(beyond.length - raised)} lower it, ${whole(tests.length - beyond.length)} make no significant change.` : "");
}

function start() {
  const options = (id, values) => byId(id).replaceChildren(...values.map(([value, label]) => el("option", { value, text: label })));
  options("metric", data.metrics.map((m) => [m, m]));
  for (const id of FILTERS) {
    const values = [...new Set(data.cells.map((cell) => labelOf(cell, id)))];
    if (id !== "collection") values.sort(id === "status" ? (a, b) => ORDER.indexOf(a) - ORDER.indexOf(b) : collator.compare);
    options(id, [["", "all"], ...values.map((v) => [v, v])]);
  }
  options("sort", SORTS.map((c) => [c.id, c.label]));
  data.cells.sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status)); // stable: within one kind as the conditions are listed
  byId("board-note").textContent = "Difference: reproduced less published; * marks a published score on other data, as its hint says. \u0394: difference to the query alone, with the same collection and retriever; coloured only where p is below 0.05. p: paired Student\u2019s t-test over topics, corrected with Holm\u2019s method for the conditions of that collection and retriever. Cost: tokens read and written where a record has them, else words of the expansions. Seen: topics that the LLM that wrote the expansions saw in training, where a record of that is there. Choose a method to open its condition.";
  byId("search").addEventListener("input", render);
  byId("filters").addEventListener("change", (event) => {
    if (event.target.id === "search") return; // it was heard on input; rows made again under a click would swallow it
    if (event.target.id === "sort") down = false;
    render();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => {
    history.replaceState(null, "", "#");
    restore();
  });
  byId("board").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...byId("board").querySelectorAll("a.name")];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    links[Math.max(0, Math.min(links.length - 1, at + step))].focus();
  });
  window.addEventListener("hashchange", restore);
  renderLede();
  restore();
  themeButton(() => renderFront(shownCells()));
}

start();

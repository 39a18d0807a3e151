// What is above the explorer: the explanation, the table of scores, the caution.

function renderAbout() {
  const first = data.measures[0].name;
  const sets = data.collections.flatMap((c) => c.sets);
  const topics = new Map(data.collections.map((c) => [c.label, c.qids.length]));
  const judged = [...topics].map(([label, count]) => `${plural(count, "topic")} of ${label}`).join(", ");
  const best = bestRun();
  byId("lede").append(
    el("strong", { text: best.run.name }), ` ${verdict(first, best.base, best.mean, best.against)} on ${studyLabel(best.study)}: better on ${plural(best.against.wins, "topic")}, equal on ${whole(best.against.ties)}, worse on ${whole(best.against.losses)} (${stated(best.against.p_holm)}).`,
  );
  const unseen = partsOf(best.study).find((p) => p.part === "unseen");
  if (unseen) {
    const [before, after] = [best.study.runs[0], best.run].map((run) => run.parts.unseen);
    byId("lede").append(` On the ${plural(unseen.count, "topic")} that no model saw in training it `, el("strong", { text: verdict(first, before.means[0], after.means[0], after.against[0]) }), ` (${stated(after.against[0].p_holm)}).`);
  }
  const say = (text) => byId("about").append(el("p", { text }));
  say("A search engine gets a query of a few words and returns a ranking: documents, the most promising first. " + (sets.length
    ? "Here a large language model first writes a short passage that might answer the query, the expansion, and the search uses both. The page shows what that changes: every condition is compared with a baseline, the first of its table, which as a rule is the search with the query alone."
    : "The page compares several ways to search with one of them, the baseline."));
  say(`For each topic (a query and the need behind it), people have judged which documents are relevant. Compared are ${judged}; a topic that a condition did not answer scores 0.`);
  for (const m of data.measures) byId("measures").append(el("dt", { text: m.name }), el("dd", { text: `${m.name} ${m.meaning}` }));
  byId("limits").textContent = `Shown are the first ${data.depth} documents of each ranking, and the first ${plural(data.words, "word")} of a document's text. Scores rest on the whole rankings.`;
  for (const c of data.collections.filter((each) => !each.texts)) {
    byId("limits").textContent += ` The documents of ${c.label} were not available when the page was made: their texts are not shown, and no words are marked.`;
  }
}

/** The condition with the largest difference of the first measure, one beyond chance first: what a reader should know before anything else. */
function bestRun() {
  let best = null;
  for (const s of data.studies) {
    for (const run of s.runs.slice(1)) {
      const found = { study: s, run, against: run.against[0], base: s.runs[0].means[0], mean: run.means[0] };
      const rank = (one) => [Number(significant(one.against)), one.against.difference];
      const [here, there] = [rank(found), best && rank(best)];
      if (!best || here[0] > there[0] || (here[0] === there[0] && here[1] > there[1])) best = found;
    }
  }
  return best;
}

function renderTable(choose) {
  const table = byId("scores");
  const top = el("tr", { role: "row" }, el("td", { role: "cell" }));
  const names = el("tr", { role: "row" }, el("th", { scope: "col", role: "columnheader", text: "condition" }));
  for (const m of data.measures) {
    top.append(el("th", { colspan: 4, scope: "colgroup", role: "columnheader", class: "first", text: m.name }));
    ["mean", "\u0394", "p (Holm)", "better / equal / worse"].forEach((text, i) =>
      names.append(el("th", { scope: "col", role: "columnheader", class: i ? null : "first", text })));
  }
  table.append(el("thead", { role: "rowgroup" }, top, names));
  data.studies.forEach((s, number) => {
    const body = el("tbody", { role: "rowgroup" });
    if (data.studies.length > 1) {
      body.append(el("tr", { class: "study", role: "row" }, el("th", { colspan: 1 + 4 * data.measures.length, scope: "rowgroup", role: "rowheader", text: `${studyLabel(s)}, ${plural(data.collections[s.collection].qids.length, "topic")}` })));
    }
    s.runs.forEach((run, place) => {
      for (const { part, label, count } of partsOf(s)) body.append(tableRow(s, run, place, part, `${label} (${plural(count, "topic")})`, () => choose({ study: number, run: place, part })));
    });
    table.append(body);
  });
  byId("scores-note").textContent =
    "\u0394 is the difference to the baseline. p says how often chance alone would make a difference at least this large if both were equally good " +
    "(paired Student\u2019s t-test over topics, corrected with Holm\u2019s method for the number of conditions); below 0.05 a difference is usually taken to be real. " +
    "The last column counts topics. Choose a condition to see its topics below.";
}

function tableRow(s, run, place, part, label, choose) {
  const scores = partOf(run, part);
  const expansions = setOf(s, run);
  const title = [run.title, expansions ? `expansions: ${expansions.label}` : "", place ? "" : "baseline", run.missing ? `${plural(run.missing, "topic")} not answered` : ""].filter(Boolean).join(" \u00b7 ");
  const name = place ? el("button", { type: "button", class: "name", text: run.name, onclick: choose }) : el("span", { class: "name", text: run.name });
  const head = part === "all" ? [name, el("span", { class: "title", text: title })] : [el(place ? "button" : "span", { type: place ? "button" : null, class: "name", text: label, onclick: choose })];
  const row = el("tr", { role: "row", class: part === "all" ? null : "part", ...(part === "all" ? { "data-run": run.name } : { "data-part": `${part} ${run.name}` }) }, el("th", { scope: "row", role: "rowheader" }, ...head));
  data.measures.forEach((m, i) => {
    const a = scores.against && scores.against[i];
    const cell = (label, attributes, ...children) => row.append(el("td", { role: "cell", "data-label": `${m.name}: ${label}`, ...attributes }, ...children));
    cell("mean", { class: "mean first", text: scores.means[i] === null ? "\u2013" : fixed(scores.means[i]) });
    if (!a) {
      for (const label of ["\u0394", "p", "topics"]) cell(label, { class: "none level", text: "\u2013" });
      return;
    }
    cell("\u0394", { class: significant(a) ? direction(a.difference) : "level", text: a.difference === null ? "\u2013" : signed(a.difference) });
    cell("p (Holm)", { text: probability(a.p_holm), title: a.p === null ? null : `p ${a.p.toPrecision(3)}, corrected ${a.p_holm.toPrecision(3)}` });
    cell("better / equal / worse", {}, `${whole(a.wins)} / ${whole(a.ties)} / ${whole(a.losses)}`, splitBar(a));
  });
  return row;
}

function renderCaution() {
  const sets = data.collections.flatMap((c) => c.sets.map((set) => ({ ...set, where: c.label })));
  const box = byId("caution");
  for (const fault of data.studies.flatMap((s) => s.faults)) box.append(el("p", { class: "fault" }, el("strong", { text: "Depths differ. " }), fault + "."));
  for (const sentence of data.collections.flatMap((c) => c.overlap)) box.append(el("p", {}, el("strong", { text: "Seen in training. " }), sentence + "."));
  box.hidden = !sets.length && !box.children.length;
  if (!sets.length) return;
  box.append(el("p", {}, el("strong", { text: "A caution. " }),
    "A large language model may have read a collection\u2019s documents in training, so part of a gain may be memory rather than expansion."));
  const known = sets.filter((set) => set.shared !== null);
  if (known.length) {
    const shares = known.map((set) => `${Math.round((100 * set.shared) / set.topics)} % (${whole(set.shared)} of ${whole(set.topics)} topics) of ${set.label} on ${set.where}`);
    box.append(el("p", { text: `Expansions that repeat six words in a row of a relevant document: ${shares.join("; ")}. The topics below say so where it is the case.` }));
  }
}

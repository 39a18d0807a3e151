// Score against what the expansions cost, with the Pareto front: what no other run beats at the same cost or less.

const SVG = byId("costs").querySelector("svg").namespaceURI;

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** The unit in which the costs of all runs are known: tokens, else words of the expansions; null where neither is. */
function costUnit(runs) {
  return ["tokens", "words"].find((unit) => runs.length > 1 && runs.every((run) => run[unit] !== null) && runs.some((run) => run[unit] > 0)) ?? null;
}

/** The runs of the front, the cheapest first. */
function frontOf(runs) {
  const front = [];
  for (const run of [...runs].sort((a, b) => a.cost - b.cost || b.score - a.score)) {
    if (!front.length || run.score > front[front.length - 1].score) front.push(run);
  }
  return front;
}

/** Round numbers between two. */
function ticksOf(low, high) {
  const rough = (high - low) / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9) || 0; n * step <= high + 1e-9; n++) ticks.push(n * step);
  return ticks;
}

/** What a difference comes to for 1,000 tokens or words. */
const perThousand = (difference, cost) => (1000 * difference) / cost;

/** Draw runs (`name`, `cost`, `score`, `chosen`, `open`) into a box; the words below it say what the plot shows. */
function drawCosts(box, runs, unit, metric) {
  const [width, height, left, right, top, bottom] = [Math.max(280, box.clientWidth || 560), 300, 58, 18, 16, 46];
  const most = Math.max(...runs.map((run) => run.cost)) * 1.04;
  const scores = runs.map((run) => run.score);
  const room = Math.max(0.01, (Math.max(...scores) - Math.min(...scores)) * 0.15);
  const [low, high] = [Math.max(0, Math.min(...scores) - room), Math.max(...scores) + room];
  const x = (cost) => left + (cost / most) * (width - left - right);
  const y = (score) => top + ((high - score) / (high - low)) * (height - top - bottom);
  const front = frontOf(runs);
  const alone = runs.find((run) => run.cost === 0);
  const gain = (run) => (alone && run.cost ? `, ${signed(perThousand(run.score - alone.score, run.cost))} per 1,000 ${unit}` : "");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${metric} against ${unit} per query` });
  const text = (words, atX, atY, anchor) => picture.append(svg("text", { x: atX, y: atY, "text-anchor": anchor, text: words }));
  for (const score of ticksOf(low, high)) {
    picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(score), y2: y(score) }));
    text(score.toFixed(3), left - 8, y(score) + 4, "end");
  }
  for (const cost of ticksOf(0, most)) text(whole(cost), x(cost), height - bottom + 18, "middle");
  text(`${unit === "tokens" ? "tokens, read and written," : "words of expansion"} per query \u2192`, (left + width - right) / 2, height - 8, "middle");
  picture.append(svg("path", { class: "front", d: front.map((run, i) => (i ? `H${x(run.cost)}V${y(run.score)}` : `M${x(run.cost)} ${y(run.score)}`)).join("") + `H${width - right}` }));
  for (const run of runs) {
    const label = `${run.name}: ${metric} ${fixed(run.score)}, ${whole(Math.round(run.cost))} ${unit} per query${gain(run)}${front.includes(run) ? ", on the front" : ""}`;
    const spot = svg("circle", { cx: x(run.cost), cy: y(run.score), r: run.chosen ? 8 : 6, class: `${front.includes(run) ? "on" : "off"}${run.chosen ? " chosen" : ""}`, "data-run": run.name }, svg("title", { text: label }));
    if (run.open) {
      for (const [name, value] of [["tabindex", 0], ["role", "button"], ["aria-label", label]]) spot.setAttribute(name, value);
      spot.addEventListener("click", run.open);
      spot.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        run.open();
      });
    }
    picture.append(spot);
    if (width > 560 && front.includes(run)) text(run.name, x(run.cost) + (x(run.cost) > width / 2 ? -13 : 13), y(run.score) + (run.cost ? 4 : -10), x(run.cost) > width / 2 ? "end" : "start");
  }
  const cheapest = el("p", { class: "note" }, `On the front (nothing that costs as much or less scores higher): `, el("span", { class: "front-names", text: front.map((run) => `${run.name} ${fixed(run.score)} at ${whole(Math.round(run.cost))}`).join("; ") }), `. A step of the front may be within what chance makes: p is in the table.`);
  box.replaceChildren(picture, cheapest);
}

/** The plot of the report: all conditions of a study. */
function renderCosts(s, chosen, open) {
  const unit = costUnit(s.runs);
  byId("costs").hidden = unit === null;
  if (unit === null) return;
  drawCosts(byId("costs").lastElementChild, s.runs.map((run, i) => ({ name: run.name, cost: run[unit], score: run.means[0], chosen: i === chosen, open: i ? () => open(i) : null })), unit, data.measures[0].name);
}

// The list of topics. However many there are, only the rows in sight (and a few more) are elements.

const ROW = 60;
const SPARE = 6;

function topicList(view, open) {
  const box = byId("list");
  const spacer = box.firstElementChild;
  const rows = new Map(); // place -> element
  const self = { shown: [] };

  /** Show these topics, from the first. */
  self.fill = (topics) => {
    self.shown = topics;
    byId("count").textContent = topics.length === view.count() ? plural(topics.length, "topic") : `${whole(topics.length)} of ${plural(view.count(), "topic")}`;
    spacer.style.height = `${topics.length * ROW}px`;
    rows.clear();
    spacer.replaceChildren();
    box.replaceChildren(topics.length ? spacer : el("p", { class: "empty", text: "No topic has these words." }));
    box.scrollTop = 0;
    paint();
  };

  function paint() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - SPARE);
    const last = Math.min(self.shown.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + SPARE);
    for (const [place, row] of rows) {
      if (place < first || place >= last) {
        row.remove();
        rows.delete(place);
      }
    }
    for (let place = first; place < last; place++) {
      if (!rows.has(place)) {
        const row = makeRow(place);
        rows.set(place, row);
        spacer.append(row);
      }
    }
    select();
  }

  function makeRow(place) {
    const topic = self.shown[place];
    const change = view.difference(topic);
    const row = el("div", { class: "row", role: "option", id: `row-${place}`, "data-qid": view.qid(topic), "aria-posinset": place + 1, "aria-setsize": self.shown.length },
      el("span", { class: "q", text: view.title(topic), title: view.title(topic) }),
      el("span", { class: `d ${direction(change)}`, text: signed(change, 3) }),
      el("span", { class: "i" }, el("span", { text: view.qid(topic) }), el("span", { text: view.scores(topic, 2, false) })));
    row.style.transform = `translateY(${place * ROW}px)`;
    row.addEventListener("click", () => open(topic, true));
    return row;
  }

  function select() {
    let active = null;
    for (const [place, row] of rows) {
      const chosen = self.shown[place] === view.chosen();
      row.setAttribute("aria-selected", chosen);
      if (chosen) active = row.id;
    }
    if (active) box.setAttribute("aria-activedescendant", active);
    else box.removeAttribute("aria-activedescendant");
  }

  /** Bring the chosen topic into sight, if it is in the list. */
  self.reveal = () => {
    const place = self.shown.indexOf(view.chosen());
    if (place >= 0) {
      const top = place * ROW;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    }
    paint();
  };

  /** The topic some places after the chosen one, or null at the end. */
  self.beside = (step) => {
    const place = self.shown.indexOf(view.chosen());
    return self.shown[place + step] ?? null;
  };

  box.addEventListener("scroll", paint, { passive: true });
  box.addEventListener("keydown", (event) => {
    const last = self.shown.length - 1;
    const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 1);
    const at = self.shown.indexOf(view.chosen());
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last }[event.key];
    if (to !== undefined && last >= 0) open(self.shown[Math.max(0, Math.min(last, to))], false, "walk");
    else if (event.key === "Enter" && at >= 0) open(view.chosen(), true);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(paint).observe(box);
  return self;
}

// Two plots on canvas, so that 10,000 topics are drawn in a few milliseconds. Each is a slider for the keyboard and for
// screen readers: its value is a place in the order of differences, its text the topic there.

const FAINT = 0.12; // of topics that the search does not find

function chart(id, view, draw, open) {
  const canvas = byId(id);
  const tip = canvas.nextElementSibling;
  const layer = document.createElement("canvas"); // the plot without the mark, which alone changes from topic to topic
  const self = { at: null, hits: null };

  self.draw = () => {
    const { width, height } = canvas.getBoundingClientRect();
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = layer.width = Math.round(width * ratio);
    canvas.height = layer.height = Math.round(height * ratio);
    const pen = layer.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const paint = Object.fromEntries(["gain", "loss", "equal", "line", "ink", "soft", "card"].map((n) => [n, colour(n)]));
    self.hits = draw(pen, width, height, paint);
    canvas.setAttribute("aria-valuemin", 1);
    canvas.setAttribute("aria-valuemax", view.order().length);
    self.mark();
  };

  /** Mark the topic under the pointer, or else the chosen one. */
  self.mark = () => {
    const place = self.at ?? view.order().indexOf(view.chosen());
    if (!self.hits || place < 0) return;
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(layer, 0, 0);
    const ratio = window.devicePixelRatio || 1;
    pen.scale(ratio, ratio);
    const topic = view.order()[place];
    self.hits.mark(pen, topic, place);
    canvas.setAttribute("aria-valuenow", place + 1);
    canvas.setAttribute("aria-valuetext", `${view.name(topic)}: ${view.scores(topic)}`);
  };

  function point(place) {
    self.at = place;
    self.mark();
    if (place === null) {
      tip.hidden = true;
      return;
    }
    const topic = view.order()[place];
    const spot = self.hits.where(topic, place);
    tip.replaceChildren(el("b", { text: view.scores(topic) }), view.name(topic));
    tip.hidden = false;
    const { width, height } = canvas.getBoundingClientRect();
    const left = spot.x > width / 2 ? spot.x - tip.offsetWidth - 12 : spot.x + 12;
    tip.style.left = `${Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, Math.min(spot.y - tip.offsetHeight / 2, height - tip.offsetHeight))}px`;
  }

  /** The place nearest to one, in a direction, whose topic the search finds; null where there is none. */
  function seek(place, direction) {
    while (view.order()[place] !== undefined && !view.within(view.order()[place])) place += direction;
    return view.order()[place] === undefined ? null : place;
  }

  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    return self.hits ? self.hits.find(event.clientX - box.left, event.clientY - box.top) : null;
  };
  canvas.addEventListener("pointermove", (event) => point(under(event)));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("click", (event) => {
    const place = under(event);
    if (place !== null) open(view.order()[place]);
  });
  canvas.addEventListener("focus", () => {
    if (self.at === null && canvas.matches(":focus-visible")) point(seek(Math.max(0, view.order().indexOf(view.chosen())), 1) ?? seek(0, 1));
  });
  canvas.addEventListener("blur", () => point(null));
  canvas.addEventListener("keydown", (event) => {
    const last = view.order().length - 1;
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: 10, PageUp: -10, Home: -last, End: last };
    if (event.key in steps) point(seek(Math.max(0, Math.min(last, (self.at ?? 0) + steps[event.key])), event.key === "Home" ? 1 : event.key === "End" ? -1 : Math.sign(steps[event.key])) ?? self.at);
    else if (event.key === "Enter" && self.at !== null) open(view.order()[self.at]);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => self.draw()).observe(canvas);
  return self;
}

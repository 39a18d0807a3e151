// Baseline against condition, each point a topic.

const RADIUS = 3.2;

/** Query-only against condition; topics of equal scores are set round their place like the seeds of a sunflower. */
function drawScatter(view) {
  return (pen, width, height, paint) => {
    const [left, right, top, bottom] = [76, 26, 26, 50];
    const side = Math.min(width - left - right, height - top - bottom);
    const begin = left + (width - left - right - side) / 2;
    const x = (score) => begin + score * side;
    const y = (score) => top + (1 - score) * side;
    pen.strokeStyle = paint.line;
    pen.strokeRect(begin - 0.5, top - 0.5, side + 1, side + 1);
    pen.setLineDash([4, 4]);
    pen.strokeStyle = paint.soft;
    pen.beginPath();
    pen.moveTo(x(0), y(0));
    pen.lineTo(x(1), y(1));
    pen.stroke();
    pen.setLineDash([]);
    const text = (words, at, row, align = "center") => {
      pen.textAlign = align;
      pen.fillText(words, at, row);
    };
    pen.fillStyle = paint.soft;
    for (const tick of [0, 0.5, 1]) {
      text(tick.toFixed(1), x(tick), top + side + 30);
      text(tick.toFixed(1), begin - 26, y(tick) + 4, "right");
    }
    text(`baseline ${data.measures[0].name} \u2192`, x(0.5), top + side + 46);
    pen.save();
    pen.translate(begin - 58, y(0.5));
    pen.rotate(-Math.PI / 2);
    text(`condition ${data.measures[0].name} \u2192`, 0, 0);
    pen.restore();

    const spots = fanned(view, x, y);
    const radius = view.order().length > 2000 ? 1.6 : RADIUS;
    const strong = view.order().length > 2000 ? 0.5 : 0.72;
    for (const [topic, spot] of spots) {
      pen.globalAlpha = view.within(topic) ? strong : FAINT;
      pen.fillStyle = spot.change === 0 ? paint.equal : spot.change > 0 ? paint.gain : paint.loss;
      pen.beginPath();
      pen.arc(spot.x, spot.y, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.lineWidth = 4;
    pen.strokeStyle = paint.card; // a rim, so that the words can be read among points
    pen.fillStyle = paint.soft;
    for (const [words, at, row] of [["better", x(0.22), y(0.76)], ["worse", x(0.76), y(0.24)]]) {
      pen.strokeText(words, at, row);
      text(words, at, row);
    }
    const mark = (over, topic) => {
      const { x: atX, y: atY } = spots.get(topic);
      over.lineWidth = 2;
      over.strokeStyle = paint.ink;
      over.beginPath();
      over.arc(atX, atY, radius + 3, 0, 2 * Math.PI);
      over.stroke();
    };
    return { mark, where: (topic) => spots.get(topic), find: (atX, atY) => nearestSpot(spots, atX, atY) };
  };
}

function fanned(view, x, y) {
  const together = new Map();
  for (const [place, topic] of view.order().entries()) {
    const key = `${view.base(topic)} ${view.score(topic)}`;
    if (!together.has(key)) together.set(key, []);
    together.get(key).push([topic, place]);
  }
  const spots = new Map();
  for (const members of together.values()) {
    const gap = Math.min(3.4, 22 / Math.sqrt(members.length));
    members.forEach(([topic, place], i) => {
      const [far, turn] = [gap * Math.sqrt(i), i * 2.399963];
      spots.set(topic, { x: x(view.base(topic)) + far * Math.cos(turn), y: y(view.score(topic)) + far * Math.sin(turn), place, change: view.difference(topic) });
    });
  }
  return spots;
}

function nearestSpot(spots, x, y) {
  let [best, least] = [null, 144];
  for (const spot of spots.values()) {
    const distance = (spot.x - x) ** 2 + (spot.y - y) ** 2;
    if (distance < least) [best, least] = [spot.place, distance];
  }
  return best;
}

// Per-topic differences, the largest gain on the left.

/** Bars of the differences in their order; the middle, where nothing changed, is a line. */
function drawBars(view) {
  return (pen, width, height, paint) => {
    const order = view.order();
    const [high, low] = view.range();
    const [left, right, top, bottom] = [46, 6, 26, 26];
    const step = (width - left - right) / order.length;
    const y = (value) => top + ((high - value) / (high - low)) * (height - top - bottom);
    const ticks = [];
    for (let value = low; value <= high; value += 0.25) ticks.push(value);
    axis(pen, paint, left, width - right, ticks, y);
    order.forEach((topic, place) => {
      const value = view.difference(topic);
      pen.fillStyle = value > 0 ? paint.gain : paint.loss;
      pen.globalAlpha = view.within(topic) ? 1 : FAINT;
      if (value !== 0) pen.fillRect(left + place * step, Math.min(y(0), y(value)), Math.max(step - (step > 4 ? 1 : 0), 0.7), Math.max(1, Math.abs(y(value) - y(0))));
    });
    pen.globalAlpha = 1;
    const counts = view.counts();
    const label = (text, x, align, ink, row) => {
      pen.textAlign = align;
      pen.fillStyle = ink;
      pen.fillText(text, x, row);
    };
    label(`\u25b2 ${whole(counts.wins)} better`, left, "left", paint.gain, 14);
    if (counts.ties * step > 60) label(`${whole(counts.ties)} equal`, left + (counts.wins + counts.ties / 2) * step, "center", paint.soft, y(0) - 7);
    label(`\u25bc ${whole(counts.losses)} worse`, width - right, "right", paint.loss, height - 8);
    return {
      mark: (over, topic, place) => {
        const value = y(view.difference(topic));
        over.fillStyle = paint.ink;
        over.fillRect(left + (place + 0.5) * step - 1, Math.min(value, y(0)) - 5, 2, Math.abs(value - y(0)) + 10);
      },
      where: (topic, place) => ({ x: left + (place + 0.5) * step, y: y(view.difference(topic)) }),
      find: (x) => (x < left || x > width - right ? null : Math.min(order.length - 1, Math.floor((x - left) / step))),
    };
  };
}

function axis(pen, paint, from, to, ticks, y) {
  pen.textAlign = "right";
  pen.lineWidth = 1;
  for (const value of ticks) {
    pen.strokeStyle = value === 0 ? paint.soft : paint.line;
    pen.beginPath();
    pen.moveTo(from, Math.round(y(value)) + 0.5);
    pen.lineTo(to, Math.round(y(value)) + 0.5);
    pen.stroke();
    pen.fillStyle = paint.soft;
    pen.fillText(signed(value, 2), from - 7, y(value) + 4);
  }
}

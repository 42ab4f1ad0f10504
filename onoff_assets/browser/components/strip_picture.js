// The strip over position as a picture of its own: a title, axes with their scale, the threshold, and the value below where
// alternatives were tried.
const PICTURE = { width: 1200, height: 400, left: 66, right: 20, top: 66, bottom: 52, values: 150 };

// Round steps of a scale from 0 to `most`, at most `number` of them.
function steps(most, number, least = 0) {
  const raw = Math.max(most / number, least), power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw * 0.999) ?? power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

function stripPicture(view) {
  const { width, left, right, top, bottom } = PICTURE, below = view.branchAt.size ? PICTURE.values : 0;
  const height = PICTURE.height + below, scale = 2, style = getComputedStyle(view.root);
  const canvas = element("canvas", { width: width * scale, height: height * scale }), draw = canvas.getContext("2d");
  draw.scale(scale, scale);
  const ink = style.color, font = (size, weight = "") => `${weight} ${size}px ${style.getPropertyValue("--st-font") || "sans-serif"}`;
  draw.fillStyle = style.getPropertyValue("--st-background-color") || "#fff";
  draw.fillRect(0, 0, width, height);
  draw.fillStyle = draw.strokeStyle = ink;
  draw.font = font(17, "600");
  draw.fillText(view.body.title ?? "tokens", left, 26, width - left - right);
  draw.font = font(13);
  draw.fillText(view.body.conditions ?? "", left, 46, width - left - right);
  const measure = view.measure, n = view.spans.length, wide = width - left - right, most = Math.max(...measure.values, measure.edges[3]);
  const frame = { draw, ink, left, wide, n, font };
  axes(frame, top, PICTURE.height - top - bottom, steps(most, 5), most, measure.label + (measure.unit ? ` (${measure.unit})` : ""));
  const high = PICTURE.height - top - bottom, foot = top + high;
  measure.values.forEach((value, i) => {
    const bar = Math.max(0, value / most) * high;
    draw.globalAlpha = view.isUnsure[i] ? 1 : 0.55;
    draw.fillRect(left + (i / n) * wide, foot - bar, Math.max(0.5, wide / n - (wide / n > 3 ? 1 : 0)), bar);
  });
  draw.globalAlpha = 1;
  if (view.threshold > 0 && view.threshold <= most) {
    const y = foot - (view.threshold / most) * high;
    draw.setLineDash([5, 4]);
    draw.strokeStyle = "#c2410c";
    line(draw, left, y, left + wide, y);
    draw.setLineDash([]);
  }
  positions(frame, foot, below ? "" : "token, counted from 0");
  if (below) valuesBelow(view, frame, PICTURE.height);
  return canvas;
}

function line(draw, x, y, toX, toY) {
  draw.beginPath();
  draw.moveTo(x, y);
  draw.lineTo(toX, toY);
  draw.stroke();
}

// The vertical axis: a tick and a faint line for each step, and what it is of.
function axes({ draw, ink, left, wide, font }, top, high, ticks, most, label) {
  draw.fillStyle = draw.strokeStyle = ink;
  draw.font = font(12);
  draw.textAlign = "right";
  for (const tick of ticks) {
    const y = top + high - (tick / most) * high;
    draw.fillText(String(tick), left - 8, y + 4);
    draw.globalAlpha = 0.15;
    line(draw, left, y, left + wide, y);
    draw.globalAlpha = 1;
  }
  line(draw, left, top, left, top + high);
  draw.save();
  draw.translate(16, top + high / 2);
  draw.rotate(-Math.PI / 2);
  draw.textAlign = "center";
  draw.fillText(label, 0, 0);
  draw.restore();
  draw.textAlign = "left";
}

function positions({ draw, ink, left, wide, n, font }, foot, label) {
  draw.fillStyle = draw.strokeStyle = ink;
  draw.font = font(12);
  draw.textAlign = "center";
  line(draw, left, foot, left + wide, foot);
  for (const tick of steps(Math.max(1, n - 1), 10, 1)) {
    const x = left + ((tick + 0.5) / n) * wide;
    line(draw, x, foot, x, foot + 4);
    draw.fillText(String(tick), x, foot + 18);
  }
  draw.fillText(label, left + wide / 2, foot + 40);
  draw.textAlign = "left";
}

function valuesBelow(view, frame, top) {
  const { draw, left, wide, n } = frame, high = PICTURE.values - PICTURE.bottom;
  axes(frame, top, high, [0, 0.5, 1], 1, "value");
  draw.save();
  draw.translate(left, top);
  valueLine(view, draw, (at) => ((at + 0.5) / n) * wide, (value) => (1 - value) * high, frame.ink, -1);
  draw.restore();
  positions(frame, top + high, "token, counted from 0; value: share of continuations that are correct, with 95 % intervals");
}

// The value at each token where others were tried, before it and after, with its interval; where it was lost in orange.
function valueLine(view, draw, x, y, ink, active, primary = ink) {
  const points = [...view.branchAt].sort((a, b) => a[0] - b[0]);
  draw.strokeStyle = draw.fillStyle = ink;
  draw.globalAlpha = 0.35;
  for (const [at, one] of points)
    if (one.low !== null) draw.fillRect(x(at) - 1, y(one.high), 2, Math.max(1, y(one.low) - y(one.high)));
  draw.globalAlpha = 1;
  draw.beginPath();
  draw.lineWidth = 1.5;
  for (const [at, one] of points) {
    if (one.value !== null) draw.lineTo(x(at), y(one.value));
    if (one.after !== null) draw.lineTo(x(at + 1), y(one.after));
  }
  draw.stroke();
  for (const [at, one] of points) {
    const value = one.value ?? one.after;
    if (value === null) continue;
    draw.fillStyle = at === active ? primary : one.lost ? "#c2410c" : ink;
    draw.beginPath();
    draw.arc(x(at), y(value), at === active || one.lost ? 4 : 3, 0, 7);
    draw.fill();
  }
}

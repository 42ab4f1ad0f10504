// The tokens of one response. In: bytes, a line {document, initial} and then {text, mark, kind, measures}.
// Out: state `picked`, a position. The default export runs again at every change of data or theme with the same
// parentElement; the tokens are built once per document. All text goes in as text nodes: it is a model's output.
const instances = new WeakMap();
let walking = false;  // whether the keyboard was in the tokens; if so, the next response gets it too
const BLOCK = 200;  // tokens, at least
const MARKS = { "\n": "↵", "\r": "␍", "\t": "→" };
// newline, return, tab; runs of spaces; characters without a shape of their own
const SPLIT = /[\n\r\t]|^ +$| {2,}|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    name in made && name !== "list" ? (made[name] = value) : made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A mark comes from CSS `::before`, so it is seen and not copied.
function marked(text, mark) {
  const made = element("i", { className: "m" }, text);
  made.dataset.m = mark;
  return made;
}

function fill(span, text, mark) {
  if (mark) span.append(marked("", mark));
  let end = 0;
  for (const match of text.matchAll(SPLIT)) {
    if (match.index > end) span.append(text.slice(end, match.index));
    const found = match[0];
    const spaces = found[0] === " " ? "·".repeat(found.length) : null;
    const code = "⟨U+" + found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩";
    span.append(marked(found, spaces ?? MARKS[found] ?? code));
    end = match.index + found.length;
  }
  if (end < text.length) span.append(text.slice(end));
}

// Blocks of whole lines: the page lays out and paints those in sight, and looks at all of them in every frame, so that
// one block a line would make a click's cost grow with the response.
function buildTokens(list, body) {
  const fragment = document.createDocumentFragment();
  let block = element("div", { className: "block" });
  const spans = body.text.map((text, i) => {
    const span = element("span", { className: "t", id: "t" + i });
    span.dataset.i = i;
    span.setAttribute("role", "option");
    fill(span, text, body.mark[i]);
    block.append(span);
    if (text.endsWith("\n") && block.childElementCount >= BLOCK) {
      fragment.append(block);
      block = element("div", { className: "block" });
    }
    return span;
  });
  if (spans.length === 0) block.append(element("span", { className: "empty" }, "(this response has no tokens)"));
  fragment.append(block);
  list.replaceChildren(fragment);
  return spans;
}

const level = (measure, value) => { let n = 0; while (n < 6 && value >= measure.edges[n]) n++; return n; };
const format = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2));

class View {
  constructor(root) {
    this.root = root;
    this.active = -1;
    this.measureName = null;
    this.limit = 1; this.limitKind = "absolute";
    this.build();
  }

  build() {
    this.select = element("select", { id: "measure" });
    this.limitInput = element("input", { type: "number", step: "any", id: "limit", value: "1" });
    this.limitSelect = element("select", { id: "limit-kind" },
      element("option", { value: "absolute" }, "at least"), element("option", { value: "percentile" }, "percentile"));
    this.limitSelect.setAttribute("aria-label", "how the threshold is given");
    this.limitInput.setAttribute("aria-label", "threshold");
    this.unit = element("span", { id: "unit" });
    this.previous = element("button", { type: "button", id: "previous", title: "previous unsure token" }, "◀ p");
    this.next = element("button", { type: "button", id: "next", title: "next unsure token" }, "n ▶");
    this.count = element("span", { id: "count" });
    this.legend = element("div", { className: "legend" });
    this.strip = element("canvas", { className: "strip", id: "strip" });
    this.strip.setAttribute("role", "img");
    this.list = element("div", { id: "tokens", tabIndex: 0 });
    this.list.setAttribute("role", "listbox");
    this.status = element("div", { id: "status" });
    this.status.setAttribute("role", "status");
    this.status.setAttribute("aria-live", "polite");
    const bar = element("div", { className: "bar" },
      element("label", {}, "colour", this.select),
      element("label", {}, "unsure:", this.limitSelect, this.limitInput, this.unit),
      element("span", { className: "walk" }, this.previous, this.next, this.count));
    bar.onkeydown = (event) => event.stopPropagation();  // j, k and w are the page's, but not while one types here
    this.root.replaceChildren(bar, this.legend, this.strip, this.list, this.status);
    this.listen();
  }

  listen() {
    this.select.onchange = () => { this.measureName = this.select.value; this.defaultLimit(); this.paint(); };
    this.limitInput.onchange = () => { this.limit = Number(this.limitInput.value); this.paint(); };
    this.limitSelect.onchange = () => { this.limitKind = this.limitSelect.value; this.defaultLimit(); this.paint(); };
    this.previous.onclick = () => this.walkTo(this.unsure(-1));
    this.next.onclick = () => this.walkTo(this.unsure(1));
    this.strip.onclick = (event) => {
      const box = this.strip.getBoundingClientRect();
      this.walkTo(Math.floor(((event.clientX - box.left) / box.width) * this.spans.length));
    };
    this.list.onclick = (event) => {
      const span = event.target.closest?.(".t");
      if (span && String(this.selection() ?? "") === "") this.walkTo(Number(span.dataset.i), 0);
    };
    this.list.onkeydown = (event) => this.key(event);
    this.list.onfocus = () => { walking = true; };
    this.list.onblur = (event) => { if (event.relatedTarget) walking = false; };
    this.list.onscroll = () => this.scheduleStrip();
    this.list.oncopy = (event) => {  // the tokens' own characters: no marks, no line breaks of the layout
      const selection = this.selection();
      if (!selection?.rangeCount) return;
      event.clipboardData.setData("text/plain", selection.getRangeAt(0).cloneContents().textContent);
      event.preventDefault();
    };
    new ResizeObserver(() => this.scheduleStrip()).observe(this.strip);
  }

  selection() {
    const tree = this.root.getRootNode();
    return tree.getSelection ? tree.getSelection() : document.getSelection();
  }

  // A new document, or the same again after a click or a change of theme.
  show(head, read, send) {
    this.send = send;
    if (this.document !== head.document) {
      const began = performance.now();
      const body = read();
      this.document = head.document; this.body = body; this.active = -1;
      this.spans = buildTokens(this.list, body);
      this.select.replaceChildren(...body.measures.map((m) => element("option", { value: m.name }, m.label)));
      if (!body.measures.some((m) => m.name === this.measureName)) { this.measureName = body.measures[0].name; }
      this.select.value = this.measureName;
      this.defaultLimit();
      this.paint();
      this.list.scrollTop = 0;
      if (Number.isInteger(head.initial)) { this.activate(head.initial, true); this.bringToMiddle(head.initial); }
      if (walking) this.list.focus({ preventScroll: true });
      this.root.dataset.buildMs = (performance.now() - began).toFixed(1);
    }
    this.scheduleStrip();
  }

  get measure() { return this.body.measures.find((m) => m.name === this.measureName); }

  defaultLimit() {
    this.limit = this.limitKind === "percentile" ? 90 : this.measure.edges[this.measure.name === "rank" ? 0 : 3];
    this.limitInput.value = this.limit;
  }

  paint() {
    const measure = this.measure;
    let threshold = this.limit;
    if (this.limitKind === "percentile") {
      const sorted = [...measure.values].sort((a, b) => a - b);
      threshold = sorted[Math.min(sorted.length - 1, Math.floor((this.limit / 100) * sorted.length))] ?? Infinity;
    }
    this.isUnsure = measure.values.map((value) => value >= threshold);
    this.spans.forEach((span, i) => {
      const kind = this.body.kind[i];
      span.className = "t e" + level(measure, measure.values[i]) + (kind ? " " + kind : "") +
        (this.isUnsure[i] ? " above" : "") + (i === this.active ? " sel" : "");
    });
    this.unit.textContent = this.limitKind === "percentile" ? "%" : measure.unit;
    const number = this.isUnsure.filter(Boolean).length;
    this.count.textContent = `${number} of ${this.spans.length} tokens unsure: underlined`;
    this.list.setAttribute("aria-label",
      `Response, ${this.spans.length} tokens coloured by ${measure.label}. Arrow keys walk, n and p go to unsure ones.`);
    this.strip.setAttribute("aria-label", `${measure.label} over position; click to go there`);
    this.drawLegend(measure);
    this.scheduleStrip();
  }

  drawLegend(measure) {
    const unit = measure.unit ? ` (${measure.unit})` : "";
    const swatches = ["< " + format(measure.edges[0]), ...measure.edges.map((edge) => "≥ " + format(edge))];
    this.legend.replaceChildren(element("b", {}, measure.label + unit + ":"),
      ...swatches.map((text, i) => element("span", { className: "swatch e" + i }, text)),
      element("span", { className: "means" }, measure.meaning));
  }

  describe(i) {
    const numbers = this.body.measures.map((m) => `${m.label} ${format(m.values[i])}${m.unit ? " " + m.unit : ""}`);
    const text = JSON.stringify(this.body.text[i]) + (this.body.mark[i] ? " " + this.body.mark[i] : "");
    return `token ${i} of ${this.spans.length}: ${text}, ${numbers.join(", ")}`;
  }

  activate(i, center) {
    const old = this.spans[this.active];
    if (old) { old.removeAttribute("aria-selected"); old.classList.remove("sel"); }
    this.active = i;
    const span = this.spans[i];
    if (!span) return;
    span.classList.add("sel");
    span.setAttribute("aria-selected", "true");
    span.setAttribute("aria-label", this.describe(i));  // only when needed: 20,000 labels cost memory
    span.title = this.describe(i);
    this.list.setAttribute("aria-activedescendant", span.id);
    this.status.textContent = this.describe(i);
    this.reveal(span, center, 20);
    this.scheduleStrip();
  }

  // A block has its height only once it came in sight, and until then the list does not scroll as far as its tokens: so
  // a token that is not seen is looked for again, in this many frames at most.
  reveal(span, center, frames) {
    cancelAnimationFrame(this.settling);
    const box = span.getBoundingClientRect(), frame = this.list.getBoundingClientRect();  // scrolls only the list
    const isSeen = box.top >= frame.top && box.bottom <= frame.bottom;
    if (center || !isSeen)
      this.list.scrollTop += box.top - frame.top - (center ? frame.height / 2 : box.top < frame.top ? 10 : frame.height - 40);
    if (!isSeen && frames > 0) this.settling = requestAnimationFrame(() => this.reveal(span, center, frames - 1));
  }

  // A linked token stands in the middle of the window, whatever is above it. The page above grows while it loads, so this
  // is done some times over, until one scrolls or types by oneself.
  bringToMiddle(i) {
    const stop = new AbortController();
    for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
      window.addEventListener(kind, () => stop.abort(), { signal: stop.signal, capture: true, passive: true });
    const settle = () => {
      const span = this.spans[i];
      if (!stop.signal.aborted && span?.isConnected && i === this.active) span.scrollIntoView({ block: "center" });
    };
    for (const after of [0, 100, 300, 700, 1500]) setTimeout(settle, after);
    setTimeout(() => stop.abort(), 1600);
  }

  walkTo(i, delay = 0) {
    if (i === null || this.spans.length === 0) return;
    const to = Math.max(0, Math.min(this.spans.length - 1, i));
    const far = Math.abs(to - this.active) > 200;
    this.activate(to, far);
    clearTimeout(this.timer);  // while an arrow key is held only the last token is sent
    this.timer = setTimeout(() => this.send(to), delay);
  }

  unsure(step) {
    for (let i = this.active + step; i >= 0 && i < this.spans.length; i += step) if (this.isUnsure[i]) return i;
    return null;
  }

  // The token above or below: nearest to the middle of the active one in the neighbouring row of text.
  vertical(step) {
    const from = this.spans[this.active]?.getBoundingClientRect();
    if (!from) return 0;
    const middle = (from.left + from.right) / 2;
    let best = null, row = null, distance = Infinity;
    for (let i = this.active + step; i >= 0 && i < this.spans.length; i += step) {
      const box = this.spans[i].getBoundingClientRect();
      const away = step > 0 ? box.top - from.top : from.top - box.top;
      if (away < 4) continue;
      if (row === null) row = box.top;
      if (Math.abs(box.top - row) > 4) break;
      const d = Math.abs((box.left + box.right) / 2 - middle);
      if (d < distance) { distance = d; best = i; }
    }
    return best;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.spans.length - 1, at = this.active;
    const moves = {
      ArrowRight: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => this.vertical(1),
      ArrowUp: () => this.vertical(-1), Home: () => 0, End: () => last, PageDown: () => at + 100,
      PageUp: () => at - 100, n: () => this.unsure(1), p: () => this.unsure(-1), Enter: () => at, " ": () => at,
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.walkTo(move(), 150);
  }

  scheduleStrip() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = null; this.drawStrip(); });
  }

  // The highest value of each column of pixels; kept, since every click draws the strip anew.
  columns(measure, width) {
    if (this.kept?.measure !== measure || this.kept.width !== width) {
      const columns = new Map();
      measure.values.forEach((value, i) => {
        const x = Math.floor((i / measure.values.length) * width);
        columns.set(x, Math.max(columns.get(x) ?? 0, value));
      });
      this.kept = { measure, width, columns };
    }
    return this.kept.columns;
  }

  drawStrip() {
    const width = this.strip.clientWidth, height = this.strip.clientHeight, n = this.spans.length;
    if (!width || !n) return;
    const scale = window.devicePixelRatio || 1;
    this.strip.width = width * scale; this.strip.height = height * scale;
    const draw = this.strip.getContext("2d"), measure = this.measure;
    draw.scale(scale, scale);
    const style = getComputedStyle(this.root);
    const top = measure.edges[5] * 1.2, step = Math.max(1, width / n);
    draw.fillStyle = style.color;
    for (const [x, value] of this.columns(measure, width)) {
      const bar = Math.min(1, value / top) * (height - 2);
      draw.fillRect(x, height - bar, Math.max(1, step - 0.5), bar);
    }
    const total = this.list.scrollHeight || 1;
    draw.globalAlpha = 0.14;  // the part of the text in sight
    draw.fillRect((this.list.scrollTop / total) * width, 0, (this.list.clientHeight / total) * width, height);
    draw.globalAlpha = 1;
    if (this.active >= 0) {
      draw.fillStyle = style.getPropertyValue("--st-primary-color") || style.color;
      draw.fillRect((this.active / n) * width - 1, 0, 3, height);
    }
  }
}

// The address names the token, in place of the one before: one step back leaves the response.
function replaceToken(i) {
  const here = new URL(window.location.href);
  here.searchParams.set("token", i);
  window.history.replaceState(window.history.state, "", here);
}

export default function (component) {
  const { data, parentElement, setStateValue, writeAddress = replaceToken } = component;  // a static page has its own
  const root = parentElement.querySelector("#view");
  if (!root || !data) return undefined;
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
  const end = bytes.indexOf(10), parse = (part) => JSON.parse(new TextDecoder().decode(part));
  let view = instances.get(parentElement);
  if (!view || view.root !== root) { view = new View(root); instances.set(parentElement, view); }
  // every click comes here again with the same document: then the text is not read again
  view.show(parse(bytes.subarray(0, end)), () => parse(bytes.subarray(end + 1)), (i) => { writeAddress(i); setStateValue("picked", i); });
  return () => clearTimeout(view.timer);
}

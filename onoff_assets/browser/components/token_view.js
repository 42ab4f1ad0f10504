// The tokens of one response. In: bytes, a line {document, initial, peek, noted, verdict, hint} and then {text, mark, kind, measures,
// branches, answer, forced}, where a search led here {hits}, and where it is known whose they are {place, title, ids, temperature, drawnAt, conditions}. Out: state `picked`, a position, and `looks`, {colour, unsure} as the address has them. The default export runs again at every change of data or theme with the same
// parentElement; the tokens are built once per document. All text goes in as text nodes: it is a model's output.
const instances = new WeakMap();
let walking = false;  // whether the keyboard was in the tokens; if so, the next response gets it too

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
    this.said = element("span", { id: "said" });
    this.hits = new Hits(this); this.tools = tools(this);
    this.legend = element("div", { className: "legend" });
    this.strip = element("canvas", { className: "strip", id: "strip" });
    this.strip.setAttribute("role", "img");
    this.values = element("canvas", { className: "strip values", id: "values", hidden: true });
    this.values.setAttribute("role", "img");
    this.list = element("div", { id: "tokens", tabIndex: 0 });
    this.list.setAttribute("role", "listbox");
    this.status = element("div", { id: "status" });
    this.status.setAttribute("role", "status");
    this.status.setAttribute("aria-live", "polite");
    this.bar = element("div", { className: "bar" },
      element("label", {}, "colour", this.select),
      element("label", {}, "unsure:", this.limitSelect, this.limitInput, this.unit),
      element("span", { className: "walk" }, this.previous, this.next, this.count), this.hits.box);
    this.bar.onkeydown = (event) => event.stopPropagation();  // j, k and w are the page's, but not while one types here
    this.facts = element("span", { className: "facts" });
    this.verdict = element("div", { id: "verdict", hidden: true }, this.facts); this.tip = new Tip(this);
    this.root.replaceChildren(this.verdict, this.bar, this.legend, this.strip, this.values, this.list, this.status, this.tip.box);
    this.listen();
  }

  listen() {
    const looked = () => { this.paint(); this.keepLooks(); };
    this.select.onchange = () => { this.measureName = this.select.value; this.defaultLimit(); looked(); };
    this.limitInput.onchange = () => { this.limit = Number(this.limitInput.value); looked(); };
    this.limitSelect.onchange = () => { this.limitKind = this.limitSelect.value; this.defaultLimit(); looked(); };
    this.previous.onclick = () => this.walkTo(this.unsure(-1));
    this.next.onclick = () => this.walkTo(this.unsure(1));
    this.strip.onclick = (event) => {
      const box = this.strip.getBoundingClientRect();
      this.walkTo(Math.floor(((event.clientX - box.left) / box.width) * this.spans.length));
    };
    this.values.onclick = (event) => {
      const box = this.values.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * this.spans.length;
      const nearest = [...this.branchAt.keys()].reduce((a, b) => (Math.abs(b - at) < Math.abs(a - at) ? b : a));
      this.walkTo(nearest);
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
    const gone = new AbortController();  // keys that nothing else takes are the tokens', wherever one has clicked
    window.addEventListener("keydown", (event) => {
      if (!this.root.isConnected) gone.abort();
      else if (!event.defaultPrevented && isFree(event.key)) this.key(event);
    }, { signal: gone.signal });
  }

  selection() {
    const tree = this.root.getRootNode();
    return tree.getSelection ? tree.getSelection() : document.getSelection();
  }

  // A new document, or the same again after a click or a change of theme.
  show(head, read, send) {
    this.send = send;
    this.head = head;
    this.drawVerdict();
    if (this.document !== head.document) {
      const began = performance.now();
      const body = read();
      this.document = head.document; this.body = body; this.active = -1;
      this.spans = buildTokens(this.list, body, this.hits.read(body.hits));
      this.branchAt = new Map((body.branches ?? []).map(([at, value, low, high, after, count, lost]) =>
        [at, { value, low, high, after, count, lost }]));
      this.values.hidden = !this.branchAt.size;
      this.select.replaceChildren(...body.measures.map((m) => element("option", { value: m.name }, m.label)));
      if (!body.measures.some((m) => m.name === this.measureName)) { this.measureName = body.measures[0].name; }
      this.readLooks();
      this.noted = String(head.noted);
      this.paint();
      this.list.scrollTop = 0;
      if (Number.isInteger(head.initial)) { this.activate(head.initial, true); this.bringToMiddle(head.initial); }
      const isLinked = Number.isInteger(head.initial) && this.takesFocus && !isTyping();
      if (walking || isLinked) this.list.focus({ preventScroll: true });
      this.root.dataset.buildMs = (performance.now() - began).toFixed(1);
    } else if (this.noted !== String(head.noted)) {  // a note was made or removed
      this.noted = String(head.noted);
      this.paint();
    }
    this.scheduleStrip();
  }

  // What one copies and takes away with stands on its line, which is always in sight.
  drawVerdict() {
    const place = this.head.verdict ? this.verdict : this.bar;
    this.verdict.hidden = !this.head.verdict;
    if (!place.contains(this.tools)) place.append(this.said, this.tools);
    if (!this.head.verdict) return;
    const [text, isRight, facts, why] = this.head.verdict;
    this.verdict.className = isRight === null ? "open" : isRight ? "right" : "wrong";
    this.facts.replaceChildren(element("b", { title: why ?? "" }, text),
      ...facts.map(([name, value, whole]) => element("span", { title: whole ?? "" }, name + " ", element("b", {}, value))));
  }

  get measure() { return this.body.measures.find((m) => m.name === this.measureName); }

  // Colour and threshold come from the address, so that they stay over other responses, pages and a reload.
  readLooks() {
    const wanted = inAddress("colour"), limit = inAddress("unsure") ?? "";
    if (this.body.measures.some((m) => m.name === wanted)) this.measureName = wanted;
    this.select.value = this.measureName;
    this.limitKind = limit.endsWith("%") ? "percentile" : "absolute";
    this.limitSelect.value = this.limitKind;
    this.defaultLimit();
    if (limit !== "" && Number.isFinite(parseFloat(limit))) this.limitInput.value = this.limit = parseFloat(limit);
  }

  keepLooks() {
    const usual = this.measureName, limit = this.limit;
    this.defaultLimit();
    const isUsual = this.limitKind === "absolute" && this.limit === limit;
    this.limitInput.value = this.limit = limit;
    const looks = { colour: usual, unsure: isUsual ? null : limit + (this.limitKind === "percentile" ? "%" : "") };
    this.writeAddress(looks);
    this.tell(looks);
  }

  say(text, milliseconds = 2500) {
    this.said.textContent = text;
    clearTimeout(this.saying);
    this.saying = setTimeout(() => { this.said.textContent = ""; }, milliseconds);
  }

  copyResponse() { copy(this.body.text.join(""), "response copied", this); }
  copyLink() {
    if (!this.linkTo) return;
    copy(this.linkTo(this.active), this.active < 0 ? "link copied" : `link to token ${this.active} copied`, this);
  }

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
    this.threshold = threshold;
    this.isUnsure = measure.values.map((value) => value >= threshold);
    const noted = new Set(this.head.noted), forced = new Set(this.body.forced);
    this.spans.forEach((span, i) => {
      const kind = this.body.kind[i];
      span.className = "t e" + level(measure, measure.values[i]) + (kind ? " " + kind : "") +
        (this.branchAt.has(i) ? " branch" : "") + (noted.has(i) ? " noted" : "") +
        (i === this.body.answer && i > 0 ? " answer" : "") + (forced.has(i) ? " forced" : "") +
        (this.isUnsure[i] ? " above" : "") + (i === this.active ? " sel" : "");
    });
    this.unit.textContent = this.limitKind === "percentile" ? "%" : measure.unit;
    const number = this.isUnsure.filter(Boolean).length;
    this.count.textContent = `${number.toLocaleString("en")} of ${this.spans.length.toLocaleString("en")} tokens unsure: underlined`;
    this.list.setAttribute("aria-label",
      `Response, ${this.spans.length} tokens coloured by ${measure.label}. Arrow keys walk, n and p go to unsure ones.`);
    this.strip.setAttribute("aria-label", `${measure.label} over position; click to go there`);
    this.drawLegend(measure);
    this.hits.draw();
    this.scheduleStrip();
  }

  // The steps of the fill in sight, and what the numbers are where one opens it.
  drawLegend(measure) {
    const unit = measure.unit ? ` (${measure.unit})` : "", wasOpen = this.legend.querySelector("details")?.open ?? false;
    const swatches = ["< " + format(measure.edges[0]), ...measure.edges.map((edge) => "≥ " + format(edge))];
    const sentences = [measure.meaning, this.body.conditions && `${this.body.conditions} ${this.head.hint ?? ""}`,
      this.body.answer && "a goes to the answer after the thinking"].filter(Boolean).map((text) => element("p", {}, text));
    const { size } = this.branchAt, forced = this.body.forced?.length;
    if (size) sentences.push(element("p", {}, element("span", { className: "branches" }, `${size} tokens with alternatives that were tried (b goes to the next)`)));
    if (forced) sentences.push(element("p", {}, element("span", { className: "forced" }, `${forced} tokens put in, not drawn`)));
    this.legend.replaceChildren(element("b", {}, measure.label + unit + ":"),
      ...swatches.map((text, i) => element("span", { className: "swatch e" + i }, text)),
      element("details", { className: "said", open: wasOpen }, element("summary", {}, "what they are"), ...sentences));
  }

  describe(i) {
    const numbers = this.body.measures.map((m) => `${m.label} ${format(m.values[i])}${m.unit ? " " + m.unit : ""}`);
    const text = JSON.stringify(this.body.text[i]) + (this.body.mark[i] ? " " + this.body.mark[i] : "");
    return [`token ${i} of 0 to ${this.spans.length - 1}: ${text}`, ...numbers, this.hits.told(i)].filter(Boolean).join(", ");
  }

  nextBranch(step) {
    const all = [...this.branchAt.keys()].sort((a, b) => a - b);
    return (step > 0 ? all.find((at) => at > this.active) : all.findLast((at) => at < this.active)) ?? null;
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
    this.hits.draw();
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
    this.tip.hide();
    this.pinned = to;
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
    if (event.key === "c") this.copyResponse();
    if (event.key === "l") this.copyLink();
    const moves = {
      ArrowRight: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => this.vertical(1),
      ArrowUp: () => this.vertical(-1), Home: () => 0, End: () => last, PageDown: () => at + 100,
      PageUp: () => at - 100, n: () => this.unsure(1), p: () => this.unsure(-1), a: () => this.body.answer ?? null, b: () => this.nextBranch(1), B: () => this.nextBranch(-1),
      ".": () => this.hits.beside(1), ",": () => this.hits.beside(-1), Enter: () => at, " ": () => at,
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.walkTo(move(), 150);
  }

  scheduleStrip() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = null; this.drawStrip(); this.drawValues(); });
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
    this.hits.drawOn(draw, width, n);
    draw.fillStyle = style.color;
    const total = this.list.scrollHeight || 1;
    draw.globalAlpha = 0.14;  // the part of the text in sight
    draw.fillRect((this.list.scrollTop / total) * width, 0, (this.list.clientHeight / total) * width, height);
    draw.globalAlpha = 1;
    if (this.active >= 0) {
      draw.fillStyle = style.getPropertyValue("--st-primary-color") || style.color;
      draw.fillRect((this.active / n) * width - 1, 0, 3, height);
    }
  }

  // The value along the response: the probability of a correct answer, from 0 below to 1 above, with its 95 % interval.
  drawValues() {
    const width = this.values.clientWidth, height = this.values.clientHeight, n = this.spans.length;
    if (!width || !n || !this.branchAt?.size) return;
    const scale = window.devicePixelRatio || 1, draw = this.values.getContext("2d");
    this.values.width = width * scale; this.values.height = height * scale;
    draw.scale(scale, scale);
    const style = getComputedStyle(this.root), ink = style.color;
    const x = (at) => ((at + 0.5) / n) * width, y = (value) => 17 + (1 - value) * (height - 22);
    draw.fillStyle = ink;
    draw.font = "11px " + (style.getPropertyValue("--st-font") || "sans-serif");
    draw.fillText("value: share of continuations that are correct, 0 to 1", 2, 10);
    valueLine(this, draw, x, y, ink, this.active, style.getPropertyValue("--st-primary-color") || ink);
  }
}

export default function (component) {
  // a static page has an address of its own, and inside another page there is none to copy and no focus to take
  const { data, parentElement, setStateValue, writeAddress = replaceInAddress, linkTo = addressOf, takesFocus = true } = component;
  const root = parentElement.querySelector("#view");
  if (!root || !data) return undefined;
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
  const end = bytes.indexOf(10), parse = (part) => JSON.parse(new TextDecoder().decode(part));
  let view = instances.get(parentElement);
  if (!view || view.root !== root) { view = new View(root); instances.set(parentElement, view); }
  Object.assign(view, { writeAddress, linkTo, takesFocus });
  view.tell = (looks) => setStateValue("looks", looks);
  // every click comes here again with the same document: then the text is not read again
  view.show(parse(bytes.subarray(0, end)), () => parse(bytes.subarray(end + 1)),
    (i) => { writeAddress({ token: i, branch: null }); setStateValue("picked", i); });
  return () => { clearTimeout(view.timer); view.tip.hide(); };
}

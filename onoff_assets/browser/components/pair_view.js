// Two responses: the tokens that both begin with once, above, and what each goes on with beside the other. In: bytes, a line
// {document, picked of [left, right]} and then {edges, measure, titles, conditions, shared, left, right of {text, mark, kind, values}}.
// Out: state `picked`, [left, right]: a position of each. Tokens are built once per document; text nodes only.
const pairs = new WeakMap();
const FOLDED = 400;  // tokens of the common beginning that are shown at once; the ones before them open with a click

class Pair {
  constructor(root) { this.root = root; }

  show(head, read, send) {
    this.send = send;
    if (this.document === head.document) return;
    this.document = head.document;
    this.body = read();
    this.picked = head.picked;
    this.build();
    this.mark();
    this.bringIntoView();
  }

  build() {
    const { body } = this, number = body.shared.text.length;
    this.tokens = { left: new Map(), right: new Map() };
    const shared = element("div", { className: "text shared" });
    const fold = number > FOLDED ? number - FOLDED : 0;
    const early = this.spans("shared", body.shared, 0), folded = early.slice(0, fold);
    if (fold) {
      const more = element("button", { type: "button", className: "more" }, `… ${fold} tokens before, the same in both`);
      more.onclick = () => more.replaceWith(...folded);
      shared.append(more);
    }
    shared.append(...early.slice(fold));
    const side = (name) => {
      const column = element("div", { className: "text", id: name + "-tokens", tabIndex: 0 });
      column.setAttribute("role", "group");
      column.setAttribute("aria-label", body.titles[name === "left" ? 0 : 1]);
      const spans = this.spans(name, body[name], number);
      column.append(...(spans.length ? spans : [element("i", { className: "empty" }, "(ends here)")]));
      return column;
    };
    this.columns = element("div", { className: "columns" },
      ...body.titles.map((title) => element("div", { className: "title" }, title)), side("left"), side("right"));
    const said = number ? `The same ${number} tokens first` : "They differ from the first token on";
    const swatches = ["< " + format(body.edges[0]), ...body.edges.map((edge) => "≥ " + format(edge))]
      .map((text, i) => element("span", { className: "swatch e" + i }, text));
    this.root.replaceChildren(
      element("div", { className: "legend" }, element("b", {}, `${body.measure} (nats):`), ...swatches,
        element("span", {}, body.conditions)),
      element("div", { className: "title" }, said), ...(number ? [shared] : []), this.columns);
    this.root.onclick = (event) => this.click(event.composedPath()[0]);
    this.root.onkeydown = (event) => this.key(event);
  }

  spans(name, part, offset) {
    const edges = { edges: this.body.edges };
    return part.text.map((text, i) => {
      const kind = part.kind[i];
      const span = element("span", { className: "t e" + level(edges, part.values[i]) + (kind ? " " + kind : "") });
      span.dataset.side = name; span.dataset.i = offset + i;
      span.title = `token ${offset + i}: ${this.body.measure} ${format(part.values[i])} nats`;
      fill(span, text, part.mark[i]);
      for (const side of name === "shared" ? ["left", "right"] : [name]) this.tokens[side].set(offset + i, span);
      return span;
    });
  }

  click(target) {
    const span = target.closest?.(".t");
    if (span) this.pick(span.dataset.side, Number(span.dataset.i));
  }

  pick(side, at) {
    this.picked = side === "shared" ? [at, at] : side === "left" ? [at, this.picked[1]] : [this.picked[0], at];
    this.mark();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(this.picked), 60);
  }

  key(event) {
    const side = event.composedPath()[0]?.id === "right-tokens" ? 1 : 0, name = side ? "right" : "left";
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const at = this.picked[side] + step, span = this.tokens[name].get(at);
    if (span) { this.pick(span.dataset.side === "shared" ? "shared" : name, at); span.scrollIntoView({ block: "nearest" }); }
  }

  mark() {
    for (const span of this.root.querySelectorAll(".sel")) span.classList.remove("sel");
    this.tokens.left.get(this.picked[0])?.classList.add("sel");
    this.tokens.right.get(this.picked[1])?.classList.add("sel");
  }

  bringIntoView() {
    const span = this.tokens.left.get(this.picked[0]);
    if (!span) return;
    for (const after of [0, 300, 900]) setTimeout(() => { if (span.isConnected) span.scrollIntoView({ block: "nearest" }); }, after);
  }
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector("#pair");
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
  const end = bytes.indexOf(10), parse = (part) => JSON.parse(new TextDecoder().decode(part));
  let view = pairs.get(parentElement);
  if (!view || view.root !== root) { view = new Pair(root); pairs.set(parentElement, view); }
  view.show(parse(bytes.subarray(0, end)), () => parse(bytes.subarray(end + 1)),
    (picked) => { replaceInAddress({ token: picked[0] }); setStateValue("picked", picked); });
  return () => clearTimeout(view.timer);
}

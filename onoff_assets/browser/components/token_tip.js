// A tip with the most probable tokens where the mouse rests.
const DWELL = 120;  // milliseconds that the mouse rests before the tip shows
const peeked = (window.onoffPeeked ??= new Map());  // "document/block" -> rows, filled by the component `peek`

class Tip {
  constructor(view) {
    this.view = view;
    this.box = element("div", { id: "tip", hidden: true });
    this.box.setAttribute("aria-hidden", "true");  // the same is in the bars, for those who cannot hover
    window.addEventListener("onoff-peeked", () => { if (this.at !== null && this.box.isConnected) this.draw(); });
    this.at = null;
    const list = view.list;
    list.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || event.buttons) return;
      const span = event.target.closest?.(".t"), at = span ? Number(span.dataset.i) : null;
      if (at === this.at) return;
      this.hide();
      this.at = at;
      if (at !== null && at !== view.pinned) this.timer = setTimeout(() => this.show(), DWELL);
    });
    for (const kind of ["pointerleave", "pointerdown", "scroll", "keydown"]) list.addEventListener(kind, () => this.hide());
  }

  hide() {
    clearTimeout(this.timer);
    this.box.hidden = true;
    this.at = null;
  }

  show() {
    const peek = this.view.head.peek;
    if (peek && !this.rows()) window.dispatchEvent(new CustomEvent("onoff-peek", { detail: {
      document: this.view.document, block: Math.floor(this.at / peek) } }));
    this.draw();
  }

  rows() {
    const peek = this.view.head.peek;
    return peek ? peeked.get(this.view.document + "/" + Math.floor(this.at / peek))?.[this.at % peek] : undefined;
  }

  // Over the text and not in it, so that nothing moves.
  draw() {
    const view = this.view, i = this.at, span = view.spans[i];
    if (!span) return;
    const numbers = view.body.measures.map((m) => `${m.label} ${format(m.values[i])}`).join(" · ");
    const lines = (this.rows() ?? []).map(([label, p, drawn]) => {
      const bar = element("span", { className: "bar5" });
      bar.style.width = Math.max(1, p * 100) + "%";
      return element("div", { className: "row5" + (drawn ? " drawn" : "") },
        element("span", { className: "label5" }, label), element("span", { className: "track5" }, bar),
        element("span", { className: "p5" }, probability(p)));
    });
    const branch = view.branchAt?.get(i);
    const values = branch ? [element("div", { className: "v5" },
      `value ${percent(branch.value)} before, ${percent(branch.after)} after; ${branch.count} alternatives tried: click`)] : [];
    const { temperature } = view.body, said = temperature === undefined ? "" : `, probabilities at temperature ${temperature}`;
    this.box.replaceChildren(element("div", { className: "head5" }, `token ${i}`, element("i", {}, lines.length ? said : "")),
      ...lines, ...values, element("div", { className: "numbers5" }, numbers));
    this.box.hidden = false;
    this.place(span);
  }

  // The line of the token, the one above and the one below stay in sight: the tip stands a line away, above where there is
  // room under what covers the window's top, else below; where neither has room, where there is more, beyond the edge.
  place(span) {
    const at = span.getBoundingClientRect(), frame = this.view.root.getBoundingClientRect(), { offsetHeight, offsetWidth } = this.box;
    const line = parseFloat(getComputedStyle(this.view.list).lineHeight) || 24;
    const above = at.top - line - this.top(), below = window.innerHeight - at.bottom - line;
    const isAbove = above >= offsetHeight || (below < offsetHeight && above > below);
    const left = (span.getClientRects()[0] ?? at).left - frame.left;
    this.box.style.left = Math.max(0, Math.min(left, frame.width - offsetWidth)) + "px";
    this.box.style.top = (isAbove ? at.top - line - offsetHeight : at.bottom + line) - frame.top + "px";
  }

  // Where what one sees of the page begins: under the menu, and under the line with the verdict.
  top() {
    const bottoms = [document.querySelector("[data-testid=stHeader]"), this.view.verdict]
      .map((one) => one?.getBoundingClientRect()).filter((box) => box?.height && box.top < 120).map((box) => box.bottom);
    return Math.max(0, ...bottoms);
  }
}

const percent = (value) => (value === null || value === undefined ? "unknown" : Math.round(value * 100) + " %");


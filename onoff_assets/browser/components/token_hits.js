// What a search found in the response, and how one goes from hit to hit. In: `hits` of the response, of each [first token, where
// the hit begins in its text, last token, where it ends in its text].
class Hits {
  constructor(view) {
    this.view = view;
    this.all = [];
    this.previous = element("button", { type: "button", title: "previous hit of the search (,)" }, "◀ ,");
    this.next = element("button", { type: "button", title: "next hit of the search (.)" }, ". ▶");
    this.previous.setAttribute("aria-label", "previous hit");
    this.next.setAttribute("aria-label", "next hit");
    this.count = element("span", {});
    this.box = element("span", { className: "walk", id: "hits", hidden: true }, this.previous, this.next, this.count);
    this.previous.onclick = () => view.walkTo(this.beside(-1));
    this.next.onclick = () => view.walkTo(this.beside(1));
  }

  // A new response: of each token the parts of its text that are in hits.
  read(hits = []) {
    this.all = hits;
    this.box.hidden = !hits.length;
    const ofToken = new Map();
    hits.forEach(([first, from, last, to], hit) => {
      for (let i = first; i <= last; i++) {
        if (!ofToken.has(i)) ofToken.set(i, []);
        ofToken.get(i).push({ hit, from: i === first ? from : 0, to: i === last ? to : Infinity, begins: i === first, ends: i === last });
      }
    });
    this.ofToken = ofToken;
    return ofToken;
  }

  // The first token of the hit after this one, or before it; null where there is none.
  beside(step) {
    const at = this.view.active;
    const found = step > 0 ? this.all.find(([first]) => first > at) : this.all.findLast(([first]) => first < at);
    return found ? found[0] : null;
  }

  // In words, which hits the token is in; empty where it is in none.
  told(i) {
    const parts = this.ofToken?.get(i) ?? [];
    if (!parts.length) return "";
    const [from, to] = [parts[0].hit + 1, parts.at(-1).hit + 1];
    return `hit ${from}${to > from ? " to " + to : ""} of ${this.all.length}`;
  }

  draw() {
    this.count.textContent = this.told(this.view.active) || `${this.all.length} ${this.all.length === 1 ? "hit" : "hits"} of the search`;
  }

  // On the strip, where they are: a wedge from above.
  drawOn(draw, width, numTokens) {
    draw.fillStyle = getComputedStyle(this.box).outlineColor;
    for (const [first] of this.all) {
      const x = ((first + 0.5) / numTokens) * width;
      draw.beginPath();
      draw.moveTo(x - 4, 0); draw.lineTo(x + 4, 0); draw.lineTo(x, 8);
      draw.fill();
    }
  }
}

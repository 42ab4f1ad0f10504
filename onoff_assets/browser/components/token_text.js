// Tokens as text nodes, with marks for what one cannot see; shared by the views of tokens.
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

// The text in pieces [from, to, mark], of which a mark stands for what one cannot see.
function inPieces(text) {
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(SPLIT)) {
    if (match.index > end) pieces.push([end, match.index]);
    const found = match[0];
    const spaces = found[0] === " " ? "·".repeat(found.length) : null;
    const code = "⟨U+" + found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩";
    end = match.index + found.length;
    pieces.push([match.index, end, spaces ?? MARKS[found] ?? code]);
  }
  if (end < text.length) pieces.push([end, text.length]);
  return pieces;
}

// Text is cut where a hit begins or ends; what has a mark is in the hit as a whole.
function cutAtHits(pieces, hits) {
  const ends = hits.flatMap(({ from, to }) => [from, to]);
  return pieces.flatMap(([from, to, mark]) => {
    if (mark) return [[from, to, mark]];
    const cuts = [from, ...ends.filter((at) => at > from && at < to), to];
    return cuts.slice(1).map((end, k) => [cuts[k], end]);
  });
}

// `hits`: the parts of the text that a search found, {from, to, begins, ends}, in order.
function fill(span, text, mark, hits = []) {
  if (mark) span.append(marked("", mark));
  const made = new Map();
  for (const [from, to, sign] of hits.length ? cutAtHits(inPieces(text), hits) : inPieces(text)) {
    const piece = sign ? marked(text.slice(from, to), sign) : text.slice(from, to);
    const hit = hits.find((one) => one.from < to && from < one.to);
    if (hit && !made.has(hit)) {
      made.set(hit, element("mark", { className: "hit" + (hit.begins ? " begins" : "") + (hit.ends ? " ends" : "") }));
      span.append(made.get(hit));
    }
    (made.get(hit) ?? span).append(piece);
  }
}

// Blocks of whole lines: the page lays out and paints those in sight, and looks at all of them in every frame, so that
// one block a line would make a click's cost grow with the response.
function buildTokens(list, body, hits = new Map()) {
  const fragment = document.createDocumentFragment();
  let block = element("div", { className: "block" });
  const spans = body.text.map((text, i) => {
    const span = element("span", { className: "t", id: "t" + i });
    span.dataset.i = i;
    span.setAttribute("role", "option");
    fill(span, text, body.mark[i], hits.get(i));
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

// The address says what is looked at, in place of what it said before: one step back leaves the page.
function replaceInAddress(values) {
  const here = new URL(window.location.href);
  for (const [name, value] of Object.entries(values))
    if (value === null) here.searchParams.delete(name); else here.searchParams.set(name, value);
  window.history.replaceState(window.history.state, "", here);
}
const inAddress = (name) => new URL(window.location.href).searchParams.get(name);

// What has the focus, inside components too; and whether one types there, so that letters are letters.
function focused() {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at;
}
const NO_TEXT = ["checkbox", "radio", "button", "submit", "reset", "range"];
function isTyping() {
  const at = focused();
  return Boolean(at?.isContentEditable) || ["TEXTAREA", "SELECT"].includes(at?.tagName) ||
    (at?.tagName === "INPUT" && !NO_TEXT.includes(at.type));
}
// Whether a key does nothing where the focus is: letters where one does not type, arrows where nothing has the focus.
function isFree(key) {
  if (isTyping() || focused()?.closest?.("dialog, [role=dialog], [role=listbox]")) return false;
  return "npabBcl.,".includes(key) || (["ArrowLeft", "ArrowRight"].includes(key) && [null, document.body].includes(focused()));
}

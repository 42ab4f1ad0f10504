// A table of any length: it draws the rows in sight and asks for the others. In: JSON bytes of what data_table.py says;
// out: state `window` {version, first} (which rows to send), triggers `ask` {replace, address} (another order or filter) and
// `go` {page, query} (a link that was clicked). Text nodes only; the links are real, so they open in a new tab too.
const instances = new WeakMap();
const AHEAD = 60, MOST_KEPT = 4000;

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}
const widthOf = (column) => `min(${column.width}rem, 34vw)`;  // on a phone there is room for others beside it
function addressOf(link) { return link.page + "?" + new URLSearchParams(link.query ?? {}); }
function isPlainClick(event) { return !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) && event.button === 0; }

class DataTable {
  constructor(root) {
    this.root = root;
    this.kept = new Map();  // row number -> row
    this.active = -1;
    this.bar = element("div", "bar"); this.notes = element("div", "notes");
    this.head = element("thead"); this.body = element("tbody");
    this.columns = element("colgroup");
    this.table = element("table", "", element("caption", "hidden"), this.columns, this.head, this.body);
    this.frame = element("div", "frame", this.table);
    Object.assign(this.frame, { tabIndex: 0, id: "rows" });
    this.frame.setAttribute("role", "region");
    root.replaceChildren(this.bar, this.notes, this.frame);
    this.frame.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.frame.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.schedule()).observe(this.frame);
  }

  show(data, out) {
    const isNew = this.data?.version !== data.version;
    this.data = data; this.out = out;
    if (isNew) { this.kept.clear(); this.active = -1; this.asked = null; this.drawn = null; }
    data.rows.forEach((row, i) => this.kept.set(data.first + i, row));
    if (this.kept.size > MOST_KEPT)
      for (const i of this.kept.keys()) if (i < data.first - 500 || i > data.first + 1000) this.kept.delete(i);
    this.table.caption.textContent = data.caption;
    this.frame.setAttribute("aria-label", data.caption);
    this.table.setAttribute("aria-rowcount", data.total);
    this.showBar(); this.showNotes(); this.showHead();
    if (isNew) this.frame.scrollTop = 0;
    this.drawn = null;
    this.draw();
  }

  ask(address, replace = false) { this.out.ask({ replace, address }); }

  link(link, name) {
    const made = element("a", name, link.label ?? link.text);
    made.href = addressOf(link);
    made.onclick = (event) => { if (isPlainClick(event)) { event.preventDefault(); this.out.go({ page: link.page, query: link.query ?? {} }); } };
    return made;
  }

  // Controls are made once for what they are of, so that typing in one is not disturbed by rows that arrive.
  once(place, what, make) {
    const text = JSON.stringify(what);
    if (place.dataset.of === text) return;
    place.dataset.of = text;
    make();
  }

  showBar() {
    const { views, links, search } = this.data;
    const count = this.root.querySelector("#count");
    const said = `${this.data.total.toLocaleString("en")} of ${this.data.of.toLocaleString("en")}`;
    if (count) count.textContent = said;
    this.once(this.bar, { views, links, search, filtering: this.filtering }, () => {
      const chips = views.map((view) => {
        const chip = element("button", "chip" + (view.active ? " on" : ""), view.label);
        Object.assign(chip, { type: "button", title: view.meaning, onclick: () => this.ask(view.address, true) });
        chip.setAttribute("aria-pressed", String(view.active));
        return chip;
      });
      const parts = [element("div", "views", ...chips, ...links.map((link) => this.link(link, "chip over")))];
      const line = element("div", "line");
      if (search) line.append(...this.searchFields(search));
      const filters = element("button", "quiet", "Filters");
      Object.assign(filters, { type: "button", onclick: () => { this.filtering = !this.isFiltering(); this.showBar(); this.showHead(); this.schedule(true); } });
      filters.setAttribute("aria-expanded", String(this.isFiltering()));
      const number = element("span", "count", said);
      number.id = "count";
      line.append(filters, number);
      this.bar.replaceChildren(...parts, line);
    });
  }

  searchFields(search) {
    const field = element("input", "search");
    Object.assign(field, { type: "search", value: search.text, placeholder: "text in the response", maxLength: 2000, id: "search" });
    field.setAttribute("aria-label", search.regex ? "regular expression in the response" : "text in the response");
    const regex = element("button", "quiet mono" + (search.regex ? " on" : ""), ".*");
    Object.assign(regex, { type: "button", title: "regular expression (RE2)", id: "regex" });
    regex.setAttribute("aria-label", "regular expression");
    regex.setAttribute("aria-pressed", String(search.regex));
    const send = (isRegex) => this.ask({ text: field.value || null, regex: isRegex && field.value ? "1" : null });
    field.onchange = () => { if (field.value !== search.text) send(regex.getAttribute("aria-pressed") === "true"); };
    regex.onclick = () => {
      const isRegex = regex.getAttribute("aria-pressed") !== "true";
      regex.setAttribute("aria-pressed", String(isRegex));
      regex.classList.toggle("on", isRegex);
      if (field.value) send(isRegex);
    };
    return [field, regex];
  }

  showNotes() {
    this.once(this.notes, this.data.notes, () =>
      this.notes.replaceChildren(...this.data.notes.map((note) => element("p", note.kind ?? "", note.text))));
  }

  isFiltering() { return this.filtering ?? Object.keys(this.data.filters).length > 0; }

  showHead() {
    const { columns, sort, falling, filters } = this.data, filtering = this.isFiltering();
    this.once(this.head, { columns, sort, falling, filters, filtering }, () => {
      this.columns.replaceChildren(...columns.map((column) => Object.assign(element("col"), { style: `width:${widthOf(column)}` })));
      this.table.style.minWidth = `calc(${columns.map((column) => widthOf(column)).join(" + ")})`;
      const names = element("tr", "", ...columns.map((column) => this.title(column, sort === column.name, falling, column.name in filters)));
      const fields = filtering ? [element("tr", "filters", ...columns.map((column) => element("td", "", ...this.fields(column, filters[column.name] ?? ""))))] : [];
      this.head.replaceChildren(names, ...fields);
    });
  }

  title(column, isSorted, falling, isFiltered) {
    const arrow = isSorted ? (falling ? " ↓" : " ↑") : "";
    const button = element("button", "", column.label + (isFiltered ? " ●" : "") + arrow);
    Object.assign(button, { type: "button", title: column.meaning });
    // first the way that is asked for most: the largest number, the first text; then the other; then as they come
    const first = column.kind === "number" ? "-" + column.address : column.address;
    const second = column.kind === "number" ? column.address : "-" + column.address;
    const now = isSorted ? (falling ? "-" : "") + column.address : null;
    button.onclick = () => this.ask({ sort: now === null ? first : now === first ? second : null });
    const made = element("th", column.kind, button);
    made.setAttribute("aria-sort", isSorted ? (falling ? "descending" : "ascending") : "none");
    made.scope = "col";
    return made;
  }

  fields(column, value) {
    const put = (text) => this.ask({ [column.address]: text || null });
    if (column.kind === "number") {
      const [low, high] = value || ["", ""];
      const ends = [[low, column.low, "at least"], [high, column.high, "at most"]].map(([text, extreme, what]) => {
        const field = element("input", "end");
        Object.assign(field, { value: text, placeholder: extreme ?? "–", inputMode: "decimal", maxLength: 20 });
        field.setAttribute("aria-label", `${column.label} ${what}`);
        return field;
      });
      for (const field of ends) field.onchange = () => {
        const [from, to] = ends.map((end) => end.value.trim());
        put(from || to ? `${from}..${to}` : "");
      };
      return ends;
    }
    if (column.kind === "choice") {
      const field = element("select", "", Object.assign(element("option", "", "any"), { value: "" }));
      const isOffered = !value || column.options.some(([option]) => option === value);
      const options = isOffered ? column.options : [[value, value.replaceAll(",", " or ")], ...column.options];
      for (const [option, text] of options) field.append(Object.assign(element("option", "", text), { value: option }));
      Object.assign(field, { value, onchange: () => put(field.value) });
      field.setAttribute("aria-label", column.label);
      return [field];
    }
    const field = element("input");
    Object.assign(field, { value, placeholder: "holds …", maxLength: 500, onchange: () => put(field.value) });
    field.setAttribute("aria-label", `${column.label} holds`);
    return [field];
  }

  get height() { return this.data.excerpts ? 57 : 33; }  // px, as in the CSS

  schedule(anew = false) {
    if (anew) this.drawn = null;
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = null; this.draw(); });
  }

  draw() {
    if (!this.data) return;
    const { total } = this.data, height = this.height;
    const from = Math.max(0, Math.floor(this.frame.scrollTop / height) - 8);
    const to = Math.min(total, from + Math.ceil((this.frame.clientHeight || 600) / height) + 16);
    if (this.drawn?.from !== from || this.drawn.to !== to) {
      const span = this.data.columns.length, rows = [];
      rows.push(this.spacer(from * height, span));
      for (let i = from; i < to; i++) rows.push(...this.row(i, span));
      rows.push(this.spacer((total - to) * height, span));
      if (!total) rows.push(element("tr", "none", Object.assign(element("td", "", this.data.empty), { colSpan: span })));
      this.body.replaceChildren(...rows);
      this.drawn = { from, to };
    }
    this.fetch(from, to);
  }

  spacer(height, span) {
    const cell = Object.assign(element("td"), { colSpan: span });
    const row = element("tr", "spacer", cell);
    row.style.height = height + "px";
    row.hidden = height <= 0;
    row.setAttribute("aria-hidden", "true");
    return row;
  }

  row(i, span) {
    const row = this.kept.get(i), { columns } = this.data;
    const cells = columns.map((column, c) => this.cell(column, row?.cells[c], row, c));
    const made = element("tr", i === this.active ? "active" : "", ...cells);
    made.id = "r" + i;
    made.setAttribute("aria-rowindex", i + 1);
    if (row) made.onclick = (event) => { if (isPlainClick(event) && !event.target.closest("a") && !String(getSelection())) this.open(i); };
    if (!this.data.excerpts) return [made];
    const pieces = (row?.excerpt ?? []).map(([text, isHit]) => (isHit ? element("mark", "", text) : text));
    const below = element("tr", "excerpt", Object.assign(element("td", "", element("div", "text", ...pieces)), { colSpan: span }));
    below.onclick = made.onclick;
    return [made, below];
  }

  cell(column, value, row, c) {
    const made = element("td", column.kind);
    if (!row) { made.append("…"); made.classList.add("waiting"); return made; }
    if (value === null || value === undefined) { made.append("–"); made.classList.add("missing"); return made; }
    const isNumber = typeof value === "number";
    const text = isNumber ? value.toLocaleString("en", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits }) : value;
    if (c === this.data.named) made.append(this.link({ ...row.link, text }, "text"));
    else made.append(element("span", "text", text));
    if (!isNumber) made.title = value;
    if (row.marks?.[c]) made.classList.add(row.marks[c]);
    const span = row.spans?.[c], share = (number) => Math.max(0, Math.min(1, (number - column.low) / (column.high - column.low)));
    if (span) this.measure(made, ...span);
    else if (isNumber && column.bar && column.high > column.low) this.measure(made, 0, share(value));
    return made;
  }

  measure(cell, from, to) {
    cell.classList.add("measured");
    cell.style.setProperty("--from", from);
    cell.style.setProperty("--to", to);
  }

  // Ask for the rows in sight that are not here, once the scrolling rests.
  fetch(from, to) {
    let missing = -1;
    for (let i = from; i < to && missing < 0; i++) if (!this.kept.has(i)) missing = i;
    if (missing < 0) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const first = Math.max(0, from - AHEAD), wanted = this.data.version + first;
      if (this.asked === wanted) return;
      this.asked = wanted;
      this.out.window({ version: this.data.version, first });
    }, 60);
  }

  open(i) {
    const link = this.kept.get(i)?.link;
    if (link) this.out.go({ page: link.page, query: link.query ?? {} });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.frame) return;
    const page = Math.max(1, Math.floor(this.frame.clientHeight / this.height) - 2), last = this.data.total - 1;
    const moves = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: last };
    if (event.key === "Enter") { this.open(this.active); return; }
    if (!(event.key in moves) || last < 0) return;
    event.preventDefault();
    this.active = Math.max(0, Math.min(last, moves[event.key]));
    const top = this.active * this.height, head = this.head.offsetHeight, room = this.frame.clientHeight - head - this.height;
    if (top < this.frame.scrollTop) this.frame.scrollTop = top;
    if (top > this.frame.scrollTop + room) this.frame.scrollTop = top - room;
    this.frame.setAttribute("aria-activedescendant", "r" + this.active);
    this.schedule(true);
  }
}

export default function ({ data: bytes, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector("#data");
  if (!root || !bytes) return undefined;
  let table = instances.get(parentElement);
  if (!table || table.root !== root) { table = new DataTable(root); instances.set(parentElement, table); }
  table.show(JSON.parse(new TextDecoder().decode(bytes)), {
    window: (wanted) => setStateValue("window", wanted),
    ask: (wanted) => setTriggerValue("ask", wanted),
    go: (target) => setTriggerValue("go", target),
  });
  return () => clearTimeout(table.timer);
}

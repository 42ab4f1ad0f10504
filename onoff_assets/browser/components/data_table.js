// A table of any length: it draws the rows in sight and asks for the others. In: JSON bytes of what data_table.py says;
// out: state `window` {version, first} (which rows to send), triggers `ask` {replace, address} (another order or filter),
// `star` [{query, star}] and `go` {page, query} (a link that was clicked). Text nodes only; the links are real, so they
// open in a new tab too.
const instances = new WeakMap();
const AHEAD = 60, MOST_KEPT = 4000;
const TO_GROW = 8;  // rem that a column which grows gets before columns that nobody needs are shown

class DataTable {
  constructor(root) {
    this.root = root;
    this.kept = new Map();  // row number -> row
    this.active = -1;
    this.pending = {}; this.starring = new Map();  // asked for and not answered yet
    this.layout = []; this.isCards = false; this.choosing = null;
    const bar = element("div", "bar");
    this.controls = new Controls(bar, this);
    this.rows = new RowMaker(this);
    this.head = element("thead"); this.body = element("tbody");
    this.columns = element("colgroup");
    this.table = element("table", "", element("caption", "hidden"), this.columns, this.head, this.body);
    this.frame = Object.assign(element("div", "frame", this.table), { tabIndex: 0, id: "rows" });
    this.frame.setAttribute("role", "region");
    root.replaceChildren(bar, this.frame);
    this.frame.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.frame.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.schedule()).observe(this.frame);
  }

  show(data, out) {
    const isNew = this.data?.version !== data.version;
    data.columns.forEach((column, at) => { column.at = at; });
    if (JSON.stringify(data.chosen) === JSON.stringify(this.choosing)) this.choosing = null;
    if (this.choosing) data.chosen = this.choosing;
    this.data = data; this.out = out;
    this.pending = {}; this.replaces = false; this.starring.clear();
    if (isNew) { this.kept.clear(); this.asked = null; }
    data.rows.forEach((row, i) => this.kept.set(data.first + i, row));
    if (this.kept.size > MOST_KEPT)
      for (const i of this.kept.keys()) if (i < data.first - 500 || i > data.first + 1000) this.kept.delete(i);
    this.table.caption.textContent = data.caption;
    this.frame.setAttribute("aria-label", data.caption);
    this.frame.classList.toggle("short", data.short);
    this.table.setAttribute("aria-rowcount", data.total);
    if (isNew && !this.keepsPlace) { this.active = -1; this.frame.scrollTop = 0; }
    this.keepsPlace = false;
    this.drawn = null;
    this.draw();
  }

  // What was asked and not answered goes along: a second question would take the place of the first.
  ask(address, replace = false) {
    this.pending = replace ? { ...address } : { ...this.pending, ...address };
    this.replaces ||= replace;
    this.out.ask({ replace: this.replaces, address: this.pending });
  }

  link(link, name) {
    const made = element("a", name, link.label ?? link.text);
    made.href = addressOf(link);
    if (link.tip) made.title = link.tip;
    made.onclick = (event) => { if (isPlainClick(event)) { event.preventDefault(); this.out.go({ page: link.page, query: link.query ?? {} }); } };
    return made;
  }

  star(row) {
    const at = this.data.columns.find((column) => column.name === "star").at, isOn = row.cells[at] !== null;
    row.cells[at] = isOn ? null : "starred";
    this.starring.set(addressOf(row.link), { query: row.link.query, star: !isOn });
    this.keepsPlace = true;
    this.out.star([...this.starring.values()]);
    this.schedule(true);
  }

  // Which columns are shown, by what was chosen, what is asked for, and the room; cards where even those needed have none.
  arrange() {
    const { columns, chosen, sort, filters } = this.data, rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const room = ((this.width || 1000) - 16) / rem;  // less the borders and a scrollbar
    const wish = (column) => chosen[column.address] ?? (column.name === sort || column.name in filters ? true : null);
    const sum = (some) => some.reduce((width, column) => width + column.width, 0);
    const needed = columns.filter((column) => wish(column) ?? column.need === 1);
    this.isCards = sum(needed.filter((column) => column.need === 1)) > room;
    let left = room - sum(needed);
    const fitting = new Set(needed);
    for (const need of this.isCards ? [] : [2, 3]) {
      if (need === 3 && [...fitting].some((column) => column.grows)) left -= TO_GROW;
      for (const column of columns)
        if (column.need === need && wish(column) === null && column.width <= left) { fitting.add(column); left -= column.width; }
    }
    if (this.isCards) for (const column of columns) if (column.line && wish(column) === null) fitting.add(column);
    this.layout = columns.filter((column) => fitting.has(column)).map((column) => (this.isCards && !column.line ? { ...column, line: 3 } : column));
    if (this.isCards && sort) this.layout.sort((a, b) => (b.name === sort && b.line > 1) - (a.name === sort && a.line > 1));
  }

  showHead() {
    const { sort, falling, filters } = this.data, { isCards, layout } = this;
    this.controls.once(this.head, { layout, isCards, sort, falling, filters }, () => {
      this.table.classList.toggle("cards", isCards);
      const width = (column) => (column.grows ? "" : `width:${column.width}rem`);
      this.columns.replaceChildren(...(isCards ? [] : layout.map((column) => Object.assign(element("col"), { style: width(column) }))));
      this.table.style.minWidth = isCards ? "" : layout.reduce((sum, column) => sum + column.width, 0) + "rem";
      const titles = layout.map((column) => this.title(column, sort === column.name, falling, column.name in filters));
      this.head.replaceChildren(...(isCards ? [] : [element("tr", "", ...titles)]));
    });
  }

  title(column, isSorted, falling, isFiltered) {
    const made = element("th", classOf(column) + (this.rows.isNamed(column) ? " named" : ""));
    made.scope = "col";
    if (column.kind === "links") { made.append(Object.assign(element("span", "title", column.label), { title: column.meaning })); return made; }
    const arrow = isSorted ? (falling ? " ↓" : " ↑") : "";
    const order = () => this.ask({ sort: nextOrder(column, isSorted, falling) });
    made.append(button("", column.label + (isFiltered ? " ●" : "") + arrow, order, { title: column.meaning }));
    made.setAttribute("aria-sort", isSorted ? (falling ? "descending" : "ascending") : "none");
    return made;
  }

  schedule(anew = false) {
    if (anew) this.drawn = null;
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = null; this.draw(); });
  }

  draw() {
    if (!this.data) return;
    if (!this.drawn || this.width !== this.frame.offsetWidth) {
      this.width = this.frame.offsetWidth;
      this.arrange();
      this.showHead();
      this.controls.show();
    }
    const { total } = this.data, { height } = this.rows;
    const from = Math.max(0, Math.floor(this.frame.scrollTop / height) - 8);
    const to = Math.min(total, from + Math.ceil((this.frame.clientHeight || 600) / height) + 16);
    const layout = this.head.dataset.of;
    if (this.drawn?.from !== from || this.drawn.to !== to || this.drawn.layout !== layout) {
      const span = this.isCards ? 1 : this.layout.length, rows = [];
      rows.push(this.spacer(from * height, span));
      for (let i = from; i < to; i++) rows.push(...this.rows.make(i, this.kept.get(i), span));
      rows.push(this.spacer((total - to) * height, span));
      if (!total) rows.push(element("tr", "none", Object.assign(element("td", "", this.data.empty), { colSpan: span })));
      this.body.replaceChildren(...rows);
      this.drawn = { from, to, layout };
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
    const { height } = this.rows, page = Math.max(1, Math.floor(this.frame.clientHeight / height) - 2), last = this.data.total - 1;
    const moves = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: last };
    if (event.key === "Enter") { this.open(this.active); return; }
    if (event.key === "s" && this.data.stars && this.kept.has(this.active)) { this.star(this.kept.get(this.active)); return; }
    if (!(event.key in moves) || last < 0) return;
    event.preventDefault();
    this.active = Math.max(0, Math.min(last, moves[event.key]));
    const top = this.active * height, head = this.head.offsetHeight, room = this.frame.clientHeight - head - height;
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
    star: (wanted) => setTriggerValue("star", wanted),
    go: (target) => setTriggerValue("go", target),
  });
  return () => clearTimeout(table.timer);
}

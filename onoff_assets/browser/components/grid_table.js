// Data sets x models: headers that stay, order and filters by name, means of rows and columns.
// In: JSON bytes of what grid_table.py says; out: trigger `ask` (the order or filter, for the address) and `go` {page,
// query}. It is ordered and filtered here at once; the cells are sent once, and those of what is being made again by grid_now.
// What one points at is told over the table, so that nothing moves. Text nodes only; the links are real.
const instances = new WeakMap();
const CODES = /(\S[●◐○–◆✕] ?)+$/;  // S● R◐ at the end of a note
const FULL = 190;  // px that a cell with everything in it takes

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}
const shown = (value) => (100 * value).toFixed(0);
const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

class Grid {
  constructor(root) {
    this.root = root;
    this.bar = element("div", "bar"); this.frame = element("div", "frame");
    this.about = element("p", "about"); this.hint = element("p", "hint");
    this.about.setAttribute("role", "status");
    this.about.hidden = true;
    root.replaceChildren(this.bar, this.frame, this.hint, this.about);
    for (const kind of ["mouseleave", "scroll"]) this.frame.addEventListener(kind, () => this.tell(null), true);
    this.frame.addEventListener("focusout", () => this.tell(null));
    new ResizeObserver(() => { if (this.data && this.compact !== this.isCompact()) this.draw(); }).observe(root);
  }

  show(data, out) {
    this.out = out;
    const text = JSON.stringify(data);
    if (text === this.text) return;
    this.text = text; this.data = data; this.state = { ...data.state };
    this.controls(); this.draw();
  }

  // Cells of what is being made, as they are now: [data set, model, cell], in the place of those that were sent before.
  refresh(cells) {
    if (!this.data?.rows.length) return;
    for (const [set, model, cell] of cells) {
      const row = this.data.rows.find((one) => one[0].text === set), c = this.data.columns.indexOf(model, 1);
      if (row && c > 0) row[c] = cell;
    }
    this.draw();
  }

  // `name` as in the address: rows, columns (what they are ordered by), find_dataset, find_model.
  ask(change) {
    Object.assign(this.state, change);
    this.draw();
    this.out.ask(change);
  }

  controls() {
    if (!this.data.rows.length) { this.bar.replaceChildren(); return; }
    const fields = [["find_dataset", "data sets"], ["find_model", "models"]].map(([name, what]) => {
      const field = element("input");
      Object.assign(field, { type: "search", value: this.state[name] ?? "", placeholder: "find " + what, maxLength: 200, id: name });
      field.setAttribute("aria-label", "find " + what);
      field.oninput = () => { Object.assign(this.state, { [name]: field.value || null }); this.draw(); };
      field.onchange = () => this.ask({ [name]: field.value || null });
      return field;
    });
    const reset = element("button", "", "in the study's order");
    Object.assign(reset, { type: "button", onclick: () => this.ask({ rows: null, columns: null }) });
    this.bar.replaceChildren(...fields, reset);
  }

  isCompact() {
    const { columns } = this.data;
    return this.root.clientWidth < 170 + FULL * (columns.length - 1);
  }

  // The numbers of the data sets (of rows) and of the models (of columns, from 1) that are shown, in order.
  order() {
    const { columns, rows } = this.data, { find_dataset, find_model } = this.state;
    const holds = (name, text) => !text || name.toLowerCase().includes(text.toLowerCase());
    const models = columns.map((_, c) => c).slice(1).filter((c) => holds(columns[c], find_model));
    const sets = rows.map((_, r) => r).filter((r) => holds(rows[r][0].text, find_dataset));
    const by = (key, all, valueOf) => {
      if (!key) return all;
      const falling = key.startsWith("-"), name = key.replace(/^-/, ""), sign = falling ? -1 : 1;
      const value = new Map(all.map((i) => [i, valueOf(name, i)]));
      return [...all].sort((a, b) => {
        const [x, y] = [value.get(a), value.get(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
      });
    };
    const rowMean = (r) => mean(models.map((c) => rows[r][c].value).filter((v) => v !== undefined));
    const columnMean = (c) => mean(sets.map((r) => rows[r][c].value).filter((v) => v !== undefined));
    const sortedRows = by(this.state.rows, sets, (name, r) => {
      if (name === ":mean") return rowMean(r);
      if (name === ":name") return rows[r][0].text;
      return rows[r][columns.indexOf(name)]?.value ?? null;
    });
    const sortedColumns = by(this.state.columns, models, (name, c) => {
      if (name === ":mean") return columnMean(c);
      if (name === ":name") return columns[c];
      return rows.find((row) => row[0].text === name)?.[c].value ?? null;
    });
    return { sets: sortedRows, models: sortedColumns, rowMean, columnMean };
  }

  draw() {
    const { columns, rows, caption } = this.data;
    this.compact = this.isCompact();
    if (!rows.length) { this.frame.replaceChildren(element("p", "", caption)); return; }
    const { sets, models, rowMean, columnMean } = this.order();
    const hasMeans = models.length > 1, hasTotals = sets.length > 1;
    const head = element("tr", "", this.header(columns[0], "rows", ":name", "corner"),
      ...(hasMeans ? [this.header("mean", "rows", ":mean", "mean")] : []),
      ...models.map((c) => this.header(columns[c], "rows", columns[c], "model")));
    const body = sets.map((r) => element("tr", "", this.header(rows[r][0].text, "columns", rows[r][0].text, "set"),
      ...(hasMeans ? [this.mean(rowMean(r), models.filter((c) => rows[r][c].value !== undefined).length, models.length)] : []),
      ...models.map((c) => this.cell(rows[r][c], rows[r][0].text, columns[c]))));
    const foot = hasTotals ? [element("tfoot", "", element("tr", "", this.header("mean", "columns", ":mean", "set"),
      ...(hasMeans ? [this.mean(mean(sets.map(rowMean).filter((v) => v !== null)), sets.length, sets.length)] : []),
      ...models.map((c) => this.mean(columnMean(c), sets.filter((r) => rows[r][c].value !== undefined).length, sets.length))))] : [];
    const title = element("caption", "", caption);
    const table = element("table", this.compact ? "compact" : "full", title, element("thead", "", head), element("tbody", "", ...body), ...foot);
    table.style.setProperty("--models", models.length);
    const { scrollTop, scrollLeft } = this.frame;
    this.frame.replaceChildren(table);
    Object.assign(this.frame, { scrollTop, scrollLeft });
    if (!sets.length || !models.length) this.frame.append(element("p", "", "Nothing has such a name."));
    this.hint.textContent = this.compact ? this.data.compact_hint : this.data.hint;
    this.tell(null);
  }

  header(text, axis, key, kind) {
    const now = this.state[axis] ?? "", isOn = now.replace(/^-/, "") === key;
    const button = element("button", "", element("span", "text", text), isOn ? element("span", "arrow", now.startsWith("-") ? "↓" : "↑") : "");
    const first = key === ":name" ? key : "-" + key, second = key === ":name" ? "-" + key : key;
    const other = axis === "rows" ? "data sets" : "models";
    Object.assign(button, { type: "button", title: `${text}: orders the ${other}`, onclick: () => this.ask({ [axis]: !isOn ? first : now === first ? second : null }) });
    const made = element("th", kind, button);
    made.scope = kind === "set" ? "row" : "col";
    if (axis === "rows") made.setAttribute("aria-sort", isOn ? (now.startsWith("-") ? "descending" : "ascending") : "none");
    return made;
  }

  mean(value, known, all) {
    const made = element("td", "number mean", value === null ? "–" : this.compact ? shown(value) : shown(value) + " %");
    made.title = known === all ? `mean of ${all}` : `mean of the ${known} of ${all} that are there`;
    if (known < all && value !== null) made.append(element("span", "of", "*"));
    return made;
  }

  cell(cell, set, model) {
    const made = element("td", cell.level ? cell.ramp + cell.level : "");
    const isUnderway = cell.done !== undefined, unknown = isUnderway ? "…" : cell.note ? "·" : "";
    const text = this.compact ? (cell.value === undefined ? unknown : shown(cell.value)) : cell.text;
    const inner = cell.page ? this.link(cell, text || "·", `${set}, ${model}: ${cell.text}`) : element("span", "text", text);
    made.append(inner);
    if (this.compact && cell.mark) made.append(element("span", "mark", cell.mark));
    if (!this.compact && cell.note) made.append(this.note(cell.note));
    if (isUnderway) {
      made.classList.add("underway");
      made.style.setProperty("--done", cell.done);
    }
    const about = [`${set} | ${model}`, cell.text, cell.note].filter(Boolean).join(" · ");
    made.onmouseenter = () => this.tell(about, made);
    inner.onfocus = () => this.tell(about, made);
    return made;
  }

  // The codes of the assets stay on one line.
  note(text) {
    const at = text.search(CODES);
    return element("span", "note text", ...(at < 0 ? [text] : [text.slice(0, at), element("span", "codes", text.slice(at))]));
  }

  link(cell, text, label) {
    const made = element("a", "text", text);
    made.href = cell.page + "?" + new URLSearchParams(cell.query ?? {});
    made.setAttribute("aria-label", label);
    made.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      this.out.go({ page: cell.page, query: cell.query ?? {} });
    };
    return made;
  }

  // Over the table, above the cell where there is room; the cells that are read in full need none.
  tell(about, cell) {
    this.about.hidden = !about || !this.compact;
    this.about.textContent = about ?? "";
    if (this.about.hidden) return;
    const root = this.root.getBoundingClientRect(), at = cell.getBoundingClientRect(), own = this.about.getBoundingClientRect();
    const above = at.top - root.top - own.height - 4;
    this.about.style.left = Math.max(0, Math.min(at.left - root.left, root.width - own.width)) + "px";
    this.about.style.top = (above > 0 ? above : at.bottom - root.top + 4) + "px";
  }
}

export default function ({ data: bytes, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("#table");
  if (!root || !bytes) return;
  let grid = instances.get(parentElement);
  if (!grid || grid.root !== root) { grid = new Grid(root); instances.set(parentElement, grid); }
  const refresh = ({ detail }) => grid.refresh(detail);
  window.addEventListener("onoff-grid-now", refresh);
  grid.show(JSON.parse(new TextDecoder().decode(bytes)), {
    ask: (change) => setTriggerValue("ask", change), go: (target) => setTriggerValue("go", target),
  });
  return () => window.removeEventListener("onoff-grid-now", refresh);
}

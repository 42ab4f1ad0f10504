// One row of a table: cells side by side, or the lines of a card. Text nodes only.
const ROW = 33, EXCERPT = 24, CARD_LINE = 22, CARD_EDGE = 15, CARD_EXCERPT = 42;  // px, as in the CSS
const LEFT_OUT = ["notes", "num_starred"];  // of a card where there are none
const CARD_BEFORE = 28;  // characters before a hit on a card, so that the hit is in sight

function classOf(column) { return (column.name === "star" ? "choice star" : column.kind) + (column.mono ? " code" : ""); }

class RowMaker {
  constructor(table) { this.table = table; }

  get lines() { return [...new Set(this.table.layout.map((column) => column.line).filter(Boolean))].sort(); }

  get height() {
    const { isCards, data } = this.table;
    if (isCards) return CARD_EDGE + CARD_LINE * this.lines.length + (data.excerpts ? CARD_EXCERPT : 0);
    return ROW + (data.excerpts ? EXCERPT : 0);
  }

  make(i, row, span) {
    const { isCards, active } = this.table;
    const made = isCards ? this.card(row) : this.row(row);
    if (i === active) made.classList.add("active");
    made.id = "r" + i;
    made.setAttribute("aria-rowindex", i + 1);
    if (row) made.onclick = (event) => { if (isPlainClick(event) && !event.target.closest("a, button") && !String(getSelection())) this.table.open(i); };
    if (!this.table.data.excerpts || isCards) return [made];
    const below = element("tr", "excerpt", Object.assign(element("td", "", this.excerpt(row, Infinity)), { colSpan: span }));
    below.onclick = made.onclick;
    return [made, below];
  }

  row(row) { return element("tr", "", ...this.table.layout.map((column) => this.cell(column, row))); }

  card(row) {
    const { layout, data } = this.table;
    const lines = this.lines.map((line) => {
      const own = layout.filter((column) => column.line === line);
      return element("div", "cardline", ...own.map((column) => this.item(column, row)));
    });
    if (data.excerpts) lines.push(this.excerpt(row, CARD_BEFORE));
    const cell = element("td", "card", ...lines);
    cell.style.height = this.height + "px";
    return element("tr", "", cell);
  }

  // A column's value on a card, with its name where the value alone would not tell.
  item(column, row) {
    const made = element("span", "item " + classOf(column) + (column.grows ? " grows" : ""));
    if (LEFT_OUT.includes(column.name) && row && !row.cells[column.at]) return "";
    const isPlain = column.name === "notes" || column.name === "status" || column.name === "star" || column.grows || this.isNamed(column) || column.kind === "links";
    if (!isPlain) made.append(element("span", "name", column.label), " ");
    this.fill(made, column, row);
    return made;
  }

  cell(column, row) {
    const made = element("td", classOf(column) + (this.isNamed(column) ? " named" : ""));
    this.fill(made, column, row);
    const value = row?.cells[column.at], span = row?.spans?.[column.at];
    const share = (number) => Math.max(0, Math.min(1, (number - column.low) / (column.high - column.low)));
    if (span) this.measure(made, ...span);
    else if (typeof value === "number" && column.bar && column.high > column.low) this.measure(made, 0, share(value));
    return made;
  }

  isNamed(column) { return column.at === this.table.data.named; }

  fill(made, column, row) {
    const value = row?.cells[column.at];
    if (!row) { made.append("…"); made.classList.add("waiting"); return; }
    if (column.name === "star") { made.append(...this.star(row, value)); return; }
    if (value === null || value === undefined) { made.append("–"); made.classList.add("missing"); return; }
    if (column.kind === "links") { value.forEach((link) => made.append(this.table.link(link, "text place"), " ")); return; }
    const isNumber = typeof value === "number";
    const text = isNumber ? value.toLocaleString("en", { useGrouping: !column.mono, minimumFractionDigits: column.digits, maximumFractionDigits: column.digits }) : value;
    made.append(this.isNamed(column) ? this.table.link({ ...row.link, text }, "text") : element("span", "text", text));
    if (!isNumber) made.title = value;
    if (row.marks?.[column.at]) made.classList.add(row.marks[column.at]);
  }

  star(row, value) {
    const isOn = value !== null && value !== undefined;
    if (!this.table.data.stars) return isOn ? [named(element("span", "", "★"), "starred")] : [];
    const made = named(button("star" + (isOn ? " on" : ""), isOn ? "★" : "☆", (event) => { event.stopPropagation(); this.table.star(row); }), "star");
    made.setAttribute("aria-pressed", String(isOn));
    return [made];
  }

  excerpt(row, before) {
    const pieces = (row?.excerpt ?? []).map(([text, isHit], i) => {
      if (isHit) return element("mark", "", text);
      return i === 0 && text.length > before ? "…" + text.slice(-before) : text;
    });
    return element("div", "text", ...pieces);
  }

  measure(cell, from, to) {
    cell.classList.add("measured");
    cell.style.setProperty("--from", from);
    cell.style.setProperty("--to", to);
  }
}

// What stands above the rows of a table: views, the search, filters, which columns, and where rows are cards, the order.
// Controls are made once for what they are of and brought up to date in place, so that typing in one goes on while rows arrive.
const PAUSE = 350;  // ms without a key after which what was typed is asked for

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}
function button(name, text, onclick, more = {}) {
  return Object.assign(element("button", name, text), { type: "button", onclick, ...more });
}
function named(field, label) { field.setAttribute("aria-label", label); return field; }
function addressOf(link) { return link.page + "?" + new URLSearchParams(link.query ?? {}); }
function isPlainClick(event) { return !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) && event.button === 0; }
// What the address says next of a column's order: first the way that is asked for most, then the other, then none.
function nextOrder(column, isSorted, falling) {
  const [first, second] = column.kind === "number" ? ["-" + column.address, column.address] : [column.address, "-" + column.address];
  const now = isSorted ? (falling ? "-" : "") + column.address : null;
  return now === null ? first : now === first ? second : null;
}

class Controls {
  constructor(root, table) {
    this.table = table;
    this.views = element("div", "views"); this.line = element("div", "line"); this.active = element("div", "views");
    this.filters = element("div", "panel"); this.columns = element("div", "panel boxes");
    this.notes = element("div", "notes");
    this.fault = Object.assign(element("p", "fault"), { id: "fault" });
    this.fault.setAttribute("role", "alert");
    this.count = Object.assign(element("span", "count"), { id: "count" });
    this.filtersButton = button("quiet", "Filters", () => this.open("filters"));
    this.columnsButton = button("quiet", "Columns", () => this.open("columns"));
    this.order = element("span", "order");
    this.shown = { filters: false, columns: false };
    root.append(this.views, this.line, this.fault, this.active, this.filters, this.columns, this.notes);
  }

  open(panel) {
    this.shown = { filters: false, columns: false, [panel]: !this.shown[panel] };
    this.show();
    this.table.schedule(true);
  }

  once(place, what, make) {
    const text = JSON.stringify(what);
    if (place.dataset.of === text) return;
    place.dataset.of = text;
    make();
  }

  show() {
    const { data } = this.table;
    this.once(this.views, [data.views, data.links], () => this.views.replaceChildren(
      ...data.views.map((view) => {
        const chip = button("chip" + (view.active ? " on" : ""), view.label, () => this.table.ask(view.address, true), { title: view.meaning });
        chip.setAttribute("aria-pressed", String(view.active));
        return chip;
      }),
      ...data.links.map((link) => this.table.link(link, "chip over"))));
    this.once(this.line, [!!data.search, data.search?.scopes], () =>
      this.line.replaceChildren(...(data.search ? this.searchFields(data.search) : []), this.order, this.filtersButton, this.columnsButton, this.count));
    this.count.textContent = `${data.total.toLocaleString("en")} of ${data.of.toLocaleString("en")}`;
    if (data.search) this.updateSearch(data.search);
    this.once(this.notes, data.notes, () => this.notes.replaceChildren(...data.notes.map((note) => element("p", note.kind ?? "", note.text))));
    this.showOrder(); this.showFilters(); this.showColumns();
  }

  // --- the search ---

  searchFields(search) {
    this.text = named(Object.assign(element("input", "search"), { type: "search", value: search.text, maxLength: 2000, id: "search" }), "");
    this.text.setAttribute("aria-describedby", "fault");
    this.regex = named(button("quiet mono", ".*", () => { this.isRegex = !this.isRegex; this.markRegex(); if (this.text.value) this.sendSearch(); },
      { title: "regular expression (RE2)", id: "regex" }), "regular expression");
    this.isRegex = search.regex;
    this.asked = JSON.stringify([search.text, search.regex]);
    this.text.oninput = () => { clearTimeout(this.pause); this.pause = setTimeout(() => this.sendSearch(), PAUSE); };
    this.text.onchange = () => this.sendSearch();  // Enter, or the way out of the field
    if (!search.scopes.length) return [this.text, this.regex];
    this.scope = named(Object.assign(element("select", "scope"), { id: "scope" }), "responses of");
    for (const [value, label] of search.scopes) this.scope.append(Object.assign(element("option", "", label), { value }));
    this.scope.onchange = () => this.table.ask({ over: this.scope.value || null });
    return [this.text, this.regex, this.scope];
  }

  sendSearch() {
    clearTimeout(this.pause);
    const text = this.text.value, isRegex = this.isRegex && text !== "", now = JSON.stringify([text, isRegex]);
    if (now === this.asked) return;
    this.asked = now;
    this.table.ask({ text: text || null, regex: isRegex ? "1" : null });
  }

  markRegex() {
    this.regex.setAttribute("aria-pressed", String(this.isRegex));
    this.regex.classList.toggle("on", this.isRegex);
    const what = this.isRegex ? "regular expression" : "text";
    this.text.placeholder = `search for a ${what} in the responses, as you type`;
    named(this.text, `${what} in the response`);
  }

  updateSearch(search) {
    const isTyping = this.text.getRootNode().activeElement === this.text, told = JSON.stringify([search.text, search.regex]);
    if (!isTyping && told !== this.asked) {
      this.text.value = search.text;
      this.isRegex = search.regex;
      this.asked = told;
    }
    if (this.scope) this.scope.value = search.scope;
    this.markRegex();
    this.text.setAttribute("aria-invalid", String(!!search.fault));
    this.fault.textContent = search.fault;
    this.fault.hidden = !search.fault;
  }

  // --- the order, where there are no headers to click ---

  showOrder() {
    const { columns, sort, falling } = this.table.data, { isCards } = this.table;
    this.once(this.order, [isCards, columns.map((c) => [c.name, c.label]), sort, falling], () => {
      this.order.replaceChildren();
      if (!isCards) return;
      const field = named(Object.assign(element("select"), { id: "order" }), "order by");
      field.append(Object.assign(element("option", "", "as they come"), { value: "" }));
      for (const column of columns.filter((c) => c.kind !== "links"))
        field.append(Object.assign(element("option", "", "by " + titleOf(column)), { value: column.name }));
      field.value = sort ?? "";
      const chosen = () => columns.find((c) => c.name === field.value);
      field.onchange = () => this.table.ask({ sort: chosen() ? nextOrder(chosen(), false, false) : null });
      const turn = named(button("quiet", falling ? "↓" : "↑", () => this.table.ask({ sort: (falling ? "" : "-") + chosen().address }), { id: "turn" }),
        falling ? "largest first; turn" : "smallest first; turn");
      this.order.append(field, ...(sort ? [turn] : []));
    });
  }

  // --- filters ---

  showFilters() {
    const { filters, columns } = this.table.data;
    const isOpen = this.shown.filters;
    this.filtersButton.setAttribute("aria-expanded", String(isOpen));
    this.filters.hidden = !isOpen;
    const offered = columns.filter((column) => column.kind !== "links");
    if (isOpen) {
      this.once(this.filters, offered.map((c) => [c.name, c.label, c.kind, c.low, c.high, c.options]), () => {
        this.fields = new Map();
        this.filters.replaceChildren(...offered.map((column) => element("div", "field", element("span", "", titleOf(column)), ...this.field(column))));
      });
      for (const [name, set] of this.fields) set(filters[name] ?? "");
    }
    const asked = columns.filter((column) => column.name in filters);
    this.once(this.active, asked.map((c) => [c.name, filters[c.name]]), () => this.active.replaceChildren(...asked.map((column) =>
      named(button("chip filter", `${titleOf(column)}: ${said(column, filters[column.name])} ×`, () => this.table.ask({ [column.address]: null })),
        `take away the filter of ${titleOf(column)}`))));
    this.active.hidden = !asked.length;
  }

  // The fields of a column's filter; `this.fields` gets the function that shows what the address says.
  field(column) {
    const put = (text) => this.table.ask({ [column.address]: text || null });
    const isFocused = (field) => field.getRootNode().activeElement === field;
    if (column.kind === "choice") {
      const field = named(element("select"), column.label);
      field.onchange = () => put(field.value);
      this.fields.set(column.name, (value) => {
        const isOffered = !value || column.options.some(([option]) => option === value);
        const options = [["", "any"], ...(isOffered ? [] : [[value, value.replaceAll(",", " or ")]]), ...column.options];
        field.replaceChildren(...options.map(([option, text]) => Object.assign(element("option", "", text), { value: option })));
        field.value = value;
      });
      return [field];
    }
    const isNumber = column.kind === "number";
    const ends = isNumber ? [["at least", column.low], ["at most", column.high]] : [["holds", "holds …"]];
    const fields = ends.map(([what, placeholder]) => named(Object.assign(element("input", isNumber ? "end" : ""),
      { placeholder: placeholder ?? "–", maxLength: isNumber ? 20 : 200, inputMode: isNumber ? "decimal" : "text" }), `${column.label} ${what}`));
    const send = () => {
      clearTimeout(fields[0].pause);
      const texts = fields.map((field) => field.value.trim());
      put(isNumber ? (texts.some(Boolean) ? texts.join("..") : "") : fields[0].value);
    };
    for (const field of fields) {
      field.oninput = () => { clearTimeout(fields[0].pause); fields[0].pause = setTimeout(send, PAUSE); };
      field.onchange = send;
    }
    this.fields.set(column.name, (value) => {
      const texts = isNumber ? value || ["", ""] : [value];
      fields.forEach((field, i) => { if (!isFocused(field)) field.value = texts[i]; });
    });
    return fields;
  }

  // --- which columns are shown ---

  showColumns() {
    const { columns, chosen } = this.table.data, shown = new Set(this.table.layout.map((column) => column.name));
    const isOpen = this.shown.columns;
    const total = columns.length;
    this.columnsButton.textContent = shown.size < total && !this.table.isCards ? `Columns (${shown.size} of ${total})` : "Columns";
    this.columnsButton.setAttribute("aria-expanded", String(isOpen));
    this.columns.hidden = !isOpen;
    if (!isOpen) return;
    this.once(this.columns, [columns.map((c) => [c.name, c.label]), chosen, [...shown]], () => {
      const boxes = columns.map((column) => {
        const box = named(Object.assign(element("input"), { type: "checkbox", checked: shown.has(column.name) }), "show " + titleOf(column));
        box.onchange = () => this.choose({ ...this.table.data.chosen, [column.address]: box.checked });
        return Object.assign(element("label", "box", box, titleOf(column)), { title: column.meaning });
      });
      const reset = button("quiet", "as they fit", () => this.choose({}));
      this.columns.replaceChildren(...boxes, ...(Object.keys(chosen).length ? [reset] : []));
    });
  }

  // Shown at once: another box may be clicked before the address has it.
  choose(chosen) {
    this.table.data.chosen = this.table.choosing = chosen;
    this.table.schedule(true);
    this.table.ask({ columns: Object.entries(chosen).map(([name, isShown]) => (isShown ? "" : "-") + name).join(",") || null });
  }
}

function titleOf(column) { return column.label === "★" ? "★ stars" : column.label; }

function said(column, value) {
  if (column.kind === "choice") {
    const text = value.replaceAll(",", " or ").replaceAll("%2C", ",").replaceAll("%25", "%");
    return column.words ? text.replaceAll("_", " ") : text;
  }
  if (column.kind !== "number") return value;
  const [low, high] = value;
  return low === high ? low : !high ? `${low} or more` : !low ? `${high} or less` : `${low} to ${high}`;
}

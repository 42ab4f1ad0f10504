// A token's distribution. In: JSON bytes of {title, note, lens, rows in the order of NAMES}; text nodes only.
const NAMES = ["label", "token_id", "rank", "probability", "chosen", "drawn", "drawn_low", "drawn_high", "cut"];
function cell(tag, name, ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}
function bar(name, p) {
  const made = cell("div", name);
  made.style.width = Math.max(0, Math.min(1, p)) * 100 + "%";
  return made;
}
const digits = (p) => (p >= 0.0001 || p === 0 ? p.toFixed(4) : p.toExponential(1));
function drawn(row) {
  if (row.cut) return "cut";
  if (row.drawn === null) return "–";
  const wide = row.drawn_high - row.drawn_low > 0.0005;
  return wide ? row.drawn_low.toFixed(2) + "–" + row.drawn_high.toFixed(2) : digits(row.drawn);
}
function line(row, lens) {
  const label = cell("td", "l", (row.chosen ? "▶ " : "") + row.label);
  label.title = row.label;
  const bars = cell("td", "", bar("g", row.probability));
  if (lens && row.drawn !== null) bars.append(bar("g2", row.drawn));
  const made = cell("tr", (row.chosen ? "chosen " : "") + (row.token_id === null ? "rest " : "") + (row.cut ? "cut" : ""),
    cell("td", "n", row.rank ?? ""), label, cell("td", "i", row.token_id ?? ""), bars,
    cell("td", "p", digits(row.probability)));
  if (lens) made.append(cell("td", "p", drawn(row)));
  return made;
}
export default function ({ data: bytes, parentElement }) {
  const root = parentElement.querySelector("#bars"), data = JSON.parse(new TextDecoder().decode(bytes));
  const heads = [["n", "rank"], ["l", "token"], ["i", "id"], ["", "probability"], ["p", "stored"]];
  if (data.lens) heads.push(["p", data.lens]);
  const head = cell("thead", "", cell("tr", "", ...heads.map(([name, text]) => cell("th", name, text))));
  const body = cell("tbody", "", ...data.rows.map((row) =>
    line(Object.fromEntries(NAMES.map((name, i) => [name, row[i]])), data.lens)));
  root.replaceChildren(cell("table", "", cell("caption", "", data.title), head, body), cell("p", "", data.note));
}

// A token's distribution. In: JSON bytes of {title, note, lens, at (the temperature of what is stored), rows in the order of
// a `Bar`'s fields}; text nodes only.
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
function through(drawn, low, high, cut) {
  if (cut) return "cut";
  if (drawn === null) return "–";
  return high - low > 0.0005 ? probability(low, 2) + "–" + probability(high, 2) : probability(drawn);
}
function line(lens, [name, id, rank, p, chosen, drawn, low, high, cut]) {
  const label = cell("td", "l", (chosen ? "▶ " : "") + name);
  label.title = name;
  const bars = cell("td", "", bar("g", p));
  if (lens && drawn !== null) bars.append(bar("g2", drawn));
  const made = cell("tr", (chosen ? "chosen " : "") + (id === null ? "rest " : "") + (cut ? "cut" : ""),
    cell("td", "n", rank ?? ""), label, cell("td", "i", id ?? ""), bars, cell("td", "p", id === null ? mass(p) : probability(p)));
  if (lens) made.append(cell("td", "p", through(drawn, low, high, cut)));
  return made;
}
export default function ({ data: bytes, parentElement }) {
  const root = parentElement.querySelector("#bars"), data = JSON.parse(new TextDecoder().decode(bytes));
  const heads = [["n", "rank"], ["l", "token"], ["i", "id"], ["", "probability"], ["p", "stored"]];
  if (data.lens) heads.push(["p", data.lens]);
  const head = cell("thead", "", cell("tr", "", ...heads.map(([name, text]) => cell("th", name, text))));
  const body = cell("tbody", "", ...data.rows.map((row) => line(data.lens, row)));
  const at = cell("i", "", "probabilities at temperature " + data.at);
  root.replaceChildren(cell("table", "", cell("caption", "", data.title + " ", at), head, body), cell("p", "", data.note));
}

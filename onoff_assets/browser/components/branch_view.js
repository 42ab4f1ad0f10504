// What would have happened at a token: the tokens that were tried there, how many of their continuations are correct, and the
// continuations of the one that is chosen. In: JSON bytes of {title, note, rows of {token_id, label, probability, sampled,
// correct, count, value, low, high, exact, effect}, chosen, texts of {reward, answer, end, text}}. Out: state `chosen`.
function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}
const percent = (value) => (value === null ? "–" : Math.round(value * 100) + " %");
function interval(row) {
  const track = element("div", "track");
  if (row.value === null) return track;
  const range = element("div", "range"), dot = element("div", "dot");
  range.style.left = row.low * 100 + "%";
  range.style.width = Math.max(0.5, (row.high - row.low) * 100) + "%";
  dot.style.left = row.value * 100 + "%";
  track.append(range, dot);
  return track;
}
function line(row, chosen, choose) {
  const button = element("button", "", (row.sampled ? "▶ " : "") + row.label);
  button.title = row.label;
  button.setAttribute("aria-expanded", String(chosen));
  button.onclick = () => choose(chosen ? null : row.token_id);
  const said = row.count ? `${row.correct} of ${row.count} correct` : "no verdict";
  const between = row.value === null ? "" : row.exact ? "certain" : `${percent(row.low)} to ${percent(row.high)}`;
  return element("tr", chosen ? "chosen" : "", element("td", "l", button), element("td", "p", probability(row.probability)),
    element("td", "s", said), element("td", "g", interval(row)),
    element("td", "i", between, ...(row.effect ? [element("span", "e", row.effect)] : [])));
}
function continuation(one) {
  const mark = one.reward === 1 ? "✓" : one.reward === 0 ? "✗" : "?";
  const made = element("details", one.reward === 1 ? "right" : "wrong",
    element("summary", "", element("b", "", mark + " "), element("span", "answer", one.answer ?? "(no answer)"),
      element("span", "tail", one.end)));
  made.append(element("pre", "", one.text));
  return made;
}
export default function ({ data: bytes, parentElement, setStateValue }) {
  const root = parentElement.querySelector("#branches"), data = JSON.parse(new TextDecoder().decode(bytes));
  const choose = (token) => setStateValue("chosen", token);
  const heads = ["token", "probability", "continuations", "", "95 % interval"];
  const table = element("table", "", element("caption", "", data.title),
    element("thead", "", element("tr", "", ...heads.map((text) => element("th", "", text)))),
    element("tbody", "", ...data.rows.map((row) => line(row, row.token_id === data.chosen, choose))));
  const texts = data.texts.map(continuation);
  root.replaceChildren(table, element("p", "", data.note), ...texts);
}

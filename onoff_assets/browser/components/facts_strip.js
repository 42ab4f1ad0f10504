// What results were made under, on one line, with the rest behind "all settings". In: JSON bytes of {states of {tone, text,
// note}, aside (quiet lines), facts and more of {name, value, title, href}, blocks of {title, text, tokens of [label, special]}}; text nodes only.
function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}
function value(fact) {
  if (!fact.href) return element("b", "", fact.value);
  return Object.assign(element("a", "", fact.value), { href: fact.href, target: "_blank", rel: "noopener" });
}
function shown(fact) {
  const made = element("span", "fact", element("i", "", fact.name), " ", value(fact));
  if (fact.title) made.title = fact.title;
  return made;
}
// A prompt, or its tokens one by one: special ones in a frame.
function text(block) {
  const tokens = block.tokens.flatMap(([label, special], i) => [i ? " " : "", element("span", special ? "special" : "", label)]);
  return element("pre", "", ...(block.tokens.length ? tokens : [block.text]));
}
function row(fact) {
  return element("tr", "", element("th", "", fact.name), element("td", "", fact.title || fact.value));
}
export default function ({ data: bytes, parentElement }) {
  const root = parentElement.querySelector("#facts"), data = JSON.parse(new TextDecoder().decode(bytes));
  const wasOpen = root.querySelector("details")?.open ?? false;  // it stays open while the strip refreshes itself
  const states = data.states.map((state) => {
    const made = element("span", "state " + state.tone, state.text);
    if (state.note) made.title = state.note;
    return made;
  });
  const notes = data.states.filter((state) => state.note).map((state) => element("p", "why", state.note));
  const aside = data.aside.map((line) => element("p", "why aside", line));
  const all = element("details", "", element("summary", "", "settings" + (data.blocks.length ? ", prompt and its tokens" : "")),
    element("table", "", element("tbody", "", ...[...data.facts, ...data.more].map(row))),
    ...data.blocks.flatMap((block) => [element("h4", "", block.title), text(block)]));
  all.open = wasOpen;
  root.replaceChildren(element("div", "line", ...states, ...data.facts.map(shown), all), ...notes, ...aside);
}

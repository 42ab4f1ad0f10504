// A table of text with links. In: JSON bytes of {caption, columns, rows of {text, note, level, ramp, indent, mono, breaks,
// prose, whole, number, chosen, page, query, href}, looks that go along, scrolls}; out: trigger `go` with {page, query} of a link into the browser.
// Text nodes only; the links are real, so they open in a new tab too.
function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}
function content(cell, go, looks) {
  if (!cell.page && !cell.href) return element("span", "text", cell.text);
  const link = element("a", "text", cell.text);
  if (cell.href) return Object.assign(link, { href: cell.href, target: "_blank", rel: "noopener" });
  link.href = cell.page + "?" + new URLSearchParams({ ...looks, ...cell.query });
  link.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go({ page: cell.page, query: cell.query ?? {} });
  };
  return link;
}
// In a table that scrolls in itself; the page stays where it is.
function showChosen(root) {
  const cell = root.querySelector(".chosen"), room = root.getBoundingClientRect(), at = cell?.getBoundingClientRect();
  if (!at || !room.height) return;
  if (at.bottom > room.bottom || at.top < room.top + 60) root.scrollTop += at.top - room.top - room.height / 2;
  if (at.right > room.right || at.left < room.left + 60) root.scrollLeft += at.left - room.left - room.width / 2;
}
export default function ({ data: bytes, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("#table"), data = JSON.parse(new TextDecoder().decode(bytes));
  const go = (target) => setTriggerValue("go", target);
  const head = element("thead", "", element("tr", "", ...data.columns.map((text) => element("th", "", text))));
  const rows = data.rows.map((row) => element("tr", "", ...row.map((cell) => {
    const names = [cell.level && cell.ramp + cell.level, ...["mono", "breaks", "prose", "whole", "number", "chosen"].filter((name) => cell[name])];
    const made = element("td", names.filter(Boolean).join(" "), content(cell, go, data.looks));
    if (cell.chosen) made.setAttribute("aria-current", "true");
    if (cell.note) made.append(element("span", "note text", cell.note));
    if (cell.indent) made.style.paddingLeft = 0.55 + cell.indent * 1.1 + "rem";
    return made;
  })));
  const named = data.columns.some(Boolean) ? [head] : [];
  root.classList.toggle("scrolls", data.scrolls);
  root.replaceChildren(
    element("table", "", element("caption", "", data.caption), ...named, element("tbody", "", ...rows)));
  root.classList.toggle("goes-on", data.scrolls && root.scrollHeight > root.clientHeight + 1);
  if (data.scrolls) showChosen(root);
}

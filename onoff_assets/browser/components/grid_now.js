// What is being made now, on a line that is always there, so that nothing moves when something begins. In: JSON bytes of
// {lines of {text, page, query, href of its runs}, resting (what is said without lines), cells of [data set, model, cell] for the grid}. Out: trigger `go` {page, query}.
export default function ({ data: bytes, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("#now"), { lines, resting, cells } = JSON.parse(new TextDecoder().decode(bytes));
  const parts = lines.map((line) => {
    if (!line.page) return line.text;
    const link = Object.assign(document.createElement("a"), {
      textContent: line.text, href: line.page + "?" + new URLSearchParams(line.query) });
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      setTriggerValue("go", { page: line.page, query: line.query });
    };
    const runs = Object.assign(document.createElement("a"), {
      textContent: "runs", href: line.href, target: "_blank", rel: "noopener", title: "its runs in Dagster" });
    const made = document.createElement("span");
    made.append(link, " (", runs, ")");
    return made;
  });
  root.replaceChildren(...(parts.length ? ["Being made now: "] : [resting]),
    ...parts.flatMap((part, i) => (i ? ["; ", part] : [part])));
  if (cells.length) window.dispatchEvent(new CustomEvent("onoff-grid-now", { detail: cells }));
}

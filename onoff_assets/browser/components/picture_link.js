// Saves the chart beside it, which Vega draws as SVG, as it stands there. In: JSON bytes of {label, name}.
function chartBeside(place) {
  for (let at = place; at; at = at.parentElement ?? at.getRootNode().host) {
    const chart = at.querySelector?.("svg.marks");
    if (chart) return chart;
  }
  return null;
}
function save(chart, name) {
  const drawn = chart.cloneNode(true);
  drawn.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const text = new XMLSerializer().serializeToString(drawn);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
export default function ({ data: bytes, parentElement }) {
  const root = parentElement.querySelector("#picture"), { label, name } = JSON.parse(new TextDecoder().decode(bytes));
  const button = document.createElement("button");
  button.textContent = label;
  button.title = "save the chart as SVG";
  button.onclick = () => { const chart = chartBeside(root); if (chart) save(chart, name); };
  root.replaceChildren(button);
}

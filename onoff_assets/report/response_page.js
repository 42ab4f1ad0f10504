// Connects the browser's token view and bars on a page of their own. What they show is JSON in the page: {content, opened,
// alternatives, theme, address}. Nothing is fetched. All text goes in as text nodes, by the components.
const told = JSON.parse(document.getElementById("response").textContent);
const encoder = new TextEncoder();

function mount(id, inner, component) {
  const host = document.getElementById(id), root = host.attachShadow({ mode: "open" });
  const style = new CSSStyleSheet();
  style.replaceSync(component.style);
  root.adoptedStyleSheets = [style];
  const view = document.createElement("div");
  view.id = inner;
  root.append(view);
  return root;
}

// The bars of a token, as the browser sends them; null where the page has none.
function barsOf(at) {
  const token = told.alternatives?.tokens[at];
  if (!token) return null;
  const [title, note, chosen, packed] = token, rows = [];
  for (let i = 0; i < packed.length; i += 3) {
    const [label, tokenId] = told.alternatives.labels[packed[i]];
    rows.push([label, tokenId, packed[i + 1] || null, packed[i + 2] / 1e6, i / 3 === chosen, null, null, null, false]);
  }
  return encoder.encode(JSON.stringify({ title, note, lens: null, rows }));
}

const tokensRoot = mount("token-view", "view", tokenView), barsRoot = mount("bar-view", "bars", barView);
const asked = told.address && /^#token=(\d{1,9})$/.exec(window.location.hash);
if (asked && Number(asked[1]) < told.content.text.length) told.opened = Number(asked[1]);
const data = encoder.encode(JSON.stringify({ document: "one", initial: told.opened }) + "\n" + JSON.stringify(told.content));

function pick(at) {
  const bars = barsOf(at);
  document.getElementById("hint").hidden = bars !== null;
  if (bars) barView.show({ data: bars, parentElement: barsRoot });
}

function draw() {
  tokenView.show({
    data,
    parentElement: tokensRoot,
    setStateValue: (name, value) => { if (name === "picked") pick(value); },
    // in a file the address names the token; a page inside another has no address of its own
    writeAddress: ({ token }) => {
      if (told.address && token !== undefined) window.location.replace("#token=" + token);
    },
  });
}

if (told.theme) setTheme(told.theme);
draw();
if (Number.isInteger(told.opened)) pick(told.opened);
watchTheme(draw);

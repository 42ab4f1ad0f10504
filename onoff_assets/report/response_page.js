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

// A probability: in millionths, or below a thousandth as it is.
const unpacked = (number) => (Number.isInteger(number) ? number / 1e6 : number);
const measured = (name, at) => told.content.measures.find((measure) => measure.name === name).values[at];

// The bars of a token, as the browser sends them; null where the page has none.
function barsOf(at) {
  const token = told.alternatives?.tokens[at];
  if (!token) return null;
  const [chosen, stored, tail, packed] = token, { labels, temperature } = told.alternatives, rows = [];
  for (let i = 0; i < packed.length; i += 3) {
    const [label, tokenId] = labels[packed[i]];
    rows.push([label, tokenId, packed[i + 1] || null, unpacked(packed[i + 2]), i / 3 === chosen, null, null, null, false]);
  }
  const note = `entropy ${measured("entropy", at).toFixed(3)} nats, surprisal ${measured("surprisal", at).toFixed(3)} nats, ` +
    `rank ${measured("rank", at)}, mass outside the stored top ${stored}: ${mass(tail)}`;
  return encoder.encode(JSON.stringify({ title: `token ${at}: ${rows[chosen][0]}`, note, lens: null, rows, at: temperature }));
}

const tokensRoot = mount("token-view", "view", tokenView), barsRoot = mount("bar-view", "bars", barView);
// #token=3 of this page, or ?token=3 as the view's own menu copies it
const asked = told.address && /[#?&]token=(\d{1,9})$/.exec(window.location.search + window.location.hash);
if (asked && Number(asked[1]) < told.content.text.length) told.opened = Number(asked[1]);
// All rows are here, so one block has them all: the view's tip shows the most probable tokens of each.
const TIPS = 5, block = told.alternatives ? Math.max(1, told.content.text.length) : null;
const head = { document: "one", initial: told.opened, peek: block, noted: [], verdict: null };
const data = encoder.encode(JSON.stringify(head) + "\n" + JSON.stringify(told.content));
if (told.alternatives) {
  window.onoffPeeked ??= new Map();
  window.onoffPeeked.set("one/0", told.alternatives.tokens.map(tipOf)).set("one/whole", told.alternatives.tokens.map(tableRow));
}

function tipOf([chosen, , , packed]) {
  const rows = [];
  for (let i = 0; i < packed.length && rows.length < TIPS && packed[i + 1]; i += 3)
    rows.push([told.alternatives.labels[packed[i]][0], unpacked(packed[i + 2]), i / 3 === chosen]);
  return rows;
}

// The alternatives as the table has them that one takes away: [id, text, probability].
function tableRow([, stored, , packed]) {
  const rows = [];
  for (let i = 0; i < packed.length && rows.length < stored; i += 3) {
    const [label, tokenId] = told.alternatives.labels[packed[i]], rank = packed[i + 1];
    if (tokenId !== null && rank === rows.length + 1) rows.push([tokenId, label, unpacked(packed[i + 2])]);
  }
  return rows;
}

// A link to a token of this very file, as it opens without a server.
function linkTo(at) {
  return window.location.href.replace(/#.*$/, "") + (at >= 0 ? "#token=" + at : "");
}

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
    linkTo: told.address ? linkTo : null,
    takesFocus: told.address,
    // in a file the address names the token; a page inside another has no address of its own
    writeAddress: ({ token }) => {
      if (told.address && token !== undefined) window.location.replace("#token=" + token);
    },
  });
}

// Inside a notebook a token that is open at first must not move the page around the frame; its list scrolls by itself.
if (!told.address) Element.prototype.scrollIntoView = () => {};
if (told.theme) setTheme(told.theme);
draw();
if (Number.isInteger(told.opened)) pick(told.opened);
watchTheme(draw);

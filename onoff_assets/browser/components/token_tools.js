// What stands around the tokens: a tip with the most probable tokens where the mouse rests, and what one takes away.
const DWELL = 120;  // milliseconds that the mouse rests before the tip shows
const peeked = (window.onoffPeeked ??= new Map());  // "document/block" -> rows, filled by the component `peek`

class Tip {
  constructor(view) {
    this.view = view;
    this.box = element("div", { id: "tip", hidden: true });
    this.box.setAttribute("aria-hidden", "true");  // the same is in the bars, for those who cannot hover
    window.addEventListener("onoff-peeked", () => { if (this.at !== null && this.box.isConnected) this.draw(); });
    this.at = null;
    const list = view.list;
    list.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || event.buttons) return;
      const span = event.target.closest?.(".t"), at = span ? Number(span.dataset.i) : null;
      if (at === this.at) return;
      this.hide();
      this.at = at;
      if (at !== null && at !== view.pinned) this.timer = setTimeout(() => this.show(), DWELL);
    });
    for (const kind of ["pointerleave", "pointerdown", "scroll", "keydown"]) list.addEventListener(kind, () => this.hide());
  }

  hide() {
    clearTimeout(this.timer);
    this.box.hidden = true;
    this.at = null;
  }

  show() {
    const peek = this.view.head.peek;
    if (peek && !this.rows()) window.dispatchEvent(new CustomEvent("onoff-peek", { detail: {
      document: this.view.document, block: Math.floor(this.at / peek) } }));
    this.draw();
  }

  rows() {
    const peek = this.view.head.peek;
    return peek ? peeked.get(this.view.document + "/" + Math.floor(this.at / peek))?.[this.at % peek] : undefined;
  }

  // Over the text and not in it, so that nothing moves.
  draw() {
    const view = this.view, i = this.at, span = view.spans[i];
    if (!span) return;
    const numbers = view.body.measures.map((m) => `${m.label} ${format(m.values[i])}`).join(" · ");
    const lines = (this.rows() ?? []).map(([label, p, drawn]) => {
      const bar = element("span", { className: "bar5" });
      bar.style.width = Math.max(1, p * 100) + "%";
      return element("div", { className: "row5" + (drawn ? " drawn" : "") },
        element("span", { className: "label5" }, label), element("span", { className: "track5" }, bar),
        element("span", { className: "p5" }, p >= 0.0001 || p === 0 ? p.toFixed(4) : p.toExponential(1)));
    });
    const branch = view.branchAt?.get(i);
    const values = branch ? [element("div", { className: "v5" },
      `value ${percent(branch.value)} before, ${percent(branch.after)} after; ${branch.count} alternatives tried: click`)] : [];
    this.box.replaceChildren(element("div", { className: "head5" }, `token ${i}`), ...lines, ...values,
      element("div", { className: "numbers5" }, numbers));
    this.box.hidden = false;
    const at = span.getClientRects()[0] ?? span.getBoundingClientRect(), frame = view.root.getBoundingClientRect();
    const height = this.box.offsetHeight, width = this.box.offsetWidth;
    const above = at.top - height - 6 > 0;
    this.box.style.left = Math.max(0, Math.min(at.left - frame.left, frame.width - width)) + "px";
    this.box.style.top = (above ? at.top - frame.top - height - 6 : at.bottom - frame.top + 6) + "px";
  }
}

const percent = (value) => (value === null || value === undefined ? "unknown" : Math.round(value * 100) + " %");

async function copy(text, said, view) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a page that is not on this machine and without encryption has no clipboard
    const area = element("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  view.say(said);
}

function save(name, type, content) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const quoted = (value) => {
  const text = String(value);
  const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;  // no formula of a sheet
  return /[",\n\r]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
};

// The tokens with every number that can colour them.
function asTable(body) {
  const head = ["position", "text", "mark", ...body.measures.map((m) => m.name)];
  const rows = body.text.map((text, i) => [i, text, body.mark[i] ?? "", ...body.measures.map((m) => m.values[i])]);
  return [head, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

// What is shown as a page of its own, for a talk or a mail: no script in it.
function asPage(view) {
  const styles = [...view.root.getRootNode().querySelectorAll("style")].map((style) => style.textContent).join("\n") ||
    [...(view.root.getRootNode().adoptedStyleSheets ?? [])].flatMap((sheet) => [...sheet.cssRules].map((rule) => rule.cssText)).join("\n");
  const computed = getComputedStyle(view.root), dark = computed.colorScheme.includes("dark") ? "dark" : "light";
  const variables = ["--st-text-color", "--st-background-color", "--st-secondary-background-color", "--st-primary-color"]
    .map((name) => `${name}:${computed.getPropertyValue(name)}`).join(";");
  const page = document.implementation.createHTMLDocument("tokens");
  page.documentElement.lang = "en";
  const root = page.createElement("div");
  root.id = "view";
  root.setAttribute("style", variables);
  root.append(page.importNode(view.legend, true), page.importNode(view.list, true));
  root.querySelector("#tokens").style.maxHeight = "none";
  const style = page.createElement("style");
  style.textContent = `:root{color-scheme:${dark}}body{margin:1.5rem;background:${computed.getPropertyValue("--st-background-color")}}\n${styles}`;
  page.head.append(Object.assign(page.createElement("meta"), { name: "viewport", content: "width=device-width" }), style);
  page.body.append(root);
  const meta = page.createElement("meta");
  meta.setAttribute("charset", "utf-8");
  page.head.prepend(meta);
  return "<!doctype html>\n" + page.documentElement.outerHTML;
}

function linkTo(position) {
  const here = new URL(window.location.href);
  if (position >= 0) here.searchParams.set("token", position);
  return here.toString();
}

function tools(view) {
  const name = () => "response-" + (inAddress("problem") ?? "").replace(/[^\w.-]+/g, "_") + "-" + (inAddress("sample") ?? "0");
  const choices = {
    "copy the response (c)": () => view.copyResponse(),
    "copy a link to the token (l)": () => view.copyLink(),
    "text (.txt)": () => save(name() + ".txt", "text/plain", view.body.text.join("")),
    "tokens and numbers (.csv)": () => save(name() + ".csv", "text/csv", asTable(view.body)),
    "coloured tokens (.html)": () => save(name() + ".html", "text/html", asPage(view)),
    "the strip (.png)": () => view.strip.toBlob((blob) => save(name() + ".png", "image/png", blob)),
  };
  const menu = element("details", { className: "menu" }, element("summary", {}, "take away"),
    element("div", { className: "choices" }, ...Object.entries(choices).map(([label, act]) => {
      const button = element("button", { type: "button" }, label);
      button.onclick = () => { menu.open = false; act(); };
      return button;
    })));
  menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget)) menu.open = false; });
  const keys = element("button", { type: "button", title: "all keys" }, "?");
  keys.setAttribute("aria-label", "all keys");
  keys.onclick = () => window.dispatchEvent(new Event("onoff-keys"));
  return element("span", { className: "tools" }, menu, keys);
}

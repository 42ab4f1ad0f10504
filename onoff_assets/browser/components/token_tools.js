// What one takes away of the tokens that are shown.
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

// The alternatives of all tokens, [id, label, probability] of each; null where none are stored. They are asked for once.
async function alternatives(view) {
  const key = view.document + "/whole";
  if (!view.head.peek) return null;
  if (!peeked.has(key)) {
    view.say("reading the alternatives …", 60_000);
    const there = new Promise((done, fail) => {
      window.addEventListener("onoff-whole", done, { once: true });
      setTimeout(() => fail(new Error("the alternatives did not come")), 60_000);
    });
    window.dispatchEvent(new CustomEvent("onoff-peek", { detail: { document: view.document, block: "whole" } }));
    await there;
    view.say("");
  }
  return peeked.get(key) ?? null;
}

// The tokens with every number that can colour them, whose response they are of, and what else could have been said.
// `temperature` is that of all numbers, `drawn_at_temperature` that at which the response was drawn.
function asTable(body, others) {
  const { place, ids, measures } = body, most = Math.max(0, ...(others ?? []).map((row) => row.length));
  const names = place ? ["dataset", "model", "problem", "sample"] : [];
  const head = [...names, "position", "text", "mark", ...measures.map((m) => m.name), ...(ids ? ["token_id"] : []),
    ...(place ? ["temperature", "drawn_at_temperature"] : []),
    ...Array.from({ length: most }, (_, k) => ["id", "label", "probability"].map((what) => `top${k + 1}_${what}`)).flat()];
  const rows = body.text.map((text, i) => [...names.map((name) => place[name]), i, text, body.mark[i] ?? "",
    ...measures.map((m) => m.values[i]), ...(ids ? [ids[i]] : []),
    ...(place ? [body.temperature, body.drawnAt ?? ""] : []),
    ...Array.from({ length: most }, (_, k) => others[i]?.[k] ?? ["", "", ""]).flat()]);
  return [head, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

async function takeTable(view, name) {
  try {
    save(name + ".csv", "text/csv", asTable(view.body, await alternatives(view)));
  } catch (error) {
    view.say("no table: " + error.message);
  }
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
  page.title = view.body.title ?? "tokens";
  const title = page.createElement("h1");
  title.textContent = page.title;
  root.append(title, page.importNode(view.legend, true), page.importNode(view.list, true));
  root.querySelector("#tokens").style.maxHeight = "none";
  root.querySelector(".said").open = true;
  const style = page.createElement("style");
  style.textContent = `:root{color-scheme:${dark}}body{margin:1.5rem;background:${computed.getPropertyValue("--st-background-color")}}\n${styles}`;
  page.head.append(Object.assign(page.createElement("meta"), { name: "viewport", content: "width=device-width" }), style);
  page.body.append(root);
  const meta = page.createElement("meta");
  meta.setAttribute("charset", "utf-8");
  page.head.prepend(meta);
  return "<!doctype html>\n" + page.documentElement.outerHTML;
}

function addressOf(position) {
  const here = new URL(window.location.href);
  if (position >= 0) here.searchParams.set("token", position);
  return here.toString();
}

function tools(view) {
  const name = () => {
    const { problem, sample } = view.body.place ?? { problem: inAddress("problem") ?? "", sample: inAddress("sample") ?? 0 };
    return "response-" + String(problem).replace(/[^\w.-]+/g, "_") + "-" + sample;
  };
  const choices = {
    "copy the response (c)": () => view.copyResponse(),
    "copy a link to the token (l)": () => view.copyLink(),
    "text (.txt)": () => save(name() + ".txt", "text/plain", view.body.text.join("")),
    "tokens, numbers and alternatives (.csv)": () => takeTable(view, name()),
    "coloured tokens (.html)": () => save(name() + ".html", "text/html", asPage(view)),
    "the strip with its axes (.png)": () => stripPicture(view).toBlob((blob) => save(name() + ".png", "image/png", blob)),
  };
  const menu = element("details", { className: "menu" }, element("summary", {}, "take away"),
    element("div", { className: "choices" }, ...Object.entries(choices).map(([label, act]) => {
      const button = element("button", { type: "button" }, label);
      button.onclick = () => { menu.open = false; act(); };
      return button;
    })));
  menu.addEventListener("toggle", () => {  // inside another page there is no address to copy
    if (menu.open) menu.querySelectorAll("button")[1].hidden = view.linkTo === null;
  });
  menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget)) menu.open = false; });
  const copying = element("button", { type: "button", className: "copy", title: "copy the response (c)" }, "copy");
  copying.onclick = () => view.copyResponse();
  const keys = element("button", { type: "button", className: "keys", title: "all keys" }, "?");
  keys.setAttribute("aria-label", "all keys");
  keys.onclick = () => window.dispatchEvent(new Event("onoff-keys"));
  return element("span", { className: "tools" }, copying, menu, keys);
}

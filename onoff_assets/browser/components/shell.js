// What every page has: a link that skips to the tokens, a sheet with all keys, and an address that keeps its place.
// And a place on the page that stays when a part of it changes. In: JSON bytes of {keys of [key, meaning]}. It is set up once for the window; the sheet is this component's own.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
const PLACE = ["dataset", "model", "other", "problem", "sample", "other_sample"];

// A step that only says more of the same place (a token, a colour, what a page without a query opened with) takes the
// place of the one before, so that one step back leads to another place.
function keepHistoryShort() {
  const push = window.history.pushState.bind(window.history);
  window.history.pushState = (state, unused, address) => {
    const from = new URL(window.location.href), to = new URL(address, from);
    const same = from.pathname === to.pathname &&
      PLACE.every((name) => [null, to.searchParams.get(name)].includes(from.searchParams.get(name)));
    if (from.pathname !== to.pathname) letScroll();
    if (same) window.history.replaceState(state, unused, address);
    else push(state, unused, address);
  };
}

// One step back leads to where one was on the page too: Streamlit keeps the address alone, and begins at the top. Where a
// page was left is kept by its place in the history of this tab, and taken up again as soon as the page is long enough.
function keepPlaces() {
  const main = () => document.querySelector(".stMain"), kept = {};
  let here = window.history.state?.onoffStep ?? 0, waiting = null;
  const push = window.history.pushState.bind(window.history), replace = window.history.replaceState.bind(window.history);
  const marked = (state) => ({ ...(state ?? {}), onoffStep: here });
  window.history.pushState = (state, unused, address) => { here += 1; waiting = null; delete kept[here]; push(marked(state), unused, address); };
  window.history.replaceState = (state, unused, address) => replace(marked(state), unused, address);
  const stop = () => { waiting = null; };
  const takeUp = () => {
    const place = main();
    if (waiting === null || !place) return;
    if (place.scrollHeight - place.clientHeight >= waiting.top) place.scrollTop = waiting.top;
    if (performance.now() < waiting.until) requestAnimationFrame(takeUp);
    else stop();
  };
  document.addEventListener("scroll", (event) => {
    if (event.target === main() && waiting === null) kept[here] = event.target.scrollTop;
  }, true);
  window.addEventListener("popstate", ({ state }) => {
    here = state?.onoffStep ?? 0;
    waiting = kept[here] ? { top: kept[here], until: performance.now() + 8000 } : null;
    takeUp();
  }, true);
  for (const kind of ["wheel", "pointerdown", "keydown", "touchstart"]) document.addEventListener(kind, stop, true);
}

// The arrows that open the menu on a phone, and what one chooses by elsewhere, say so to those who hear the page, as
// page.css does to those who see it.
function nameMenu() {
  const button = document.querySelector("[data-testid=stExpandSidebarButton]");
  button?.setAttribute("aria-label", window.matchMedia("(max-width: 768px)").matches ? "Menu" : "Choices");
}

// The links of the menu have no query: a new tab opened from one would show another place.
function completeMenu(event) {
  const link = event.target.closest?.("[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]");
  if (link) link.search = window.location.search;
}

function find(selector, under = document) {
  const here = under.querySelector(selector);
  if (here) return here;
  for (const host of under.querySelectorAll("*")) {
    const inner = host.shadowRoot && find(selector, host.shadowRoot);
    if (inner) return inner;
  }
  return null;
}

function addSkipLink() {
  const link = element("a", { id: "onoff-skip", href: "#", textContent: "skip to the tokens" });
  link.onclick = (event) => {
    event.preventDefault();
    const target = find("#tokens, #left-tokens") ?? find("#table a") ?? document.querySelector(".stMain");
    if (!target) return;
    if (target.tabIndex < 0) target.tabIndex = -1;
    target.focus();
    target.scrollIntoView({ block: "center" });
  };
  const style = element("style", { textContent: `
    #onoff-skip { position: fixed; left: .5rem; top: -4rem; z-index: 1000000; padding: .5rem .9rem; border-radius: .4rem;
      background: #1a1c24; color: #fff; font: 600 .95rem sans-serif; }
    #onoff-skip:focus { top: .5rem; outline: 3px solid #ffab40; }` });
  document.head.append(style);
  document.body.prepend(link);
}

// A link to a section of the page moves there, and is no step in the history: one step back leaves the page.
function jumpOnPage(event) {
  const link = event.target.closest?.(".stMain a[href^='#']"), plain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const section = link && plain && document.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)));
  if (!section) return;
  event.preventDefault();
  section.tabIndex = -1;
  section.focus({ preventScroll: true });
  section.scrollIntoView({ block: "start" });
}

// While a part of the page is drawn anew it is gone for a moment, and a page that is shorter for a moment stands elsewhere
// afterwards. So a page never gets shorter than what one has scrolled to, until one leaves it or scrolls back up.
function holdLength() {
  document.addEventListener("scroll", ({ target }) => {
    const block = target.matches?.(".stMain") && target.querySelector(".stMainBlockContainer");
    if (!block) return;
    const reached = target.getBoundingClientRect().bottom - block.getBoundingClientRect().top;
    block.style.minHeight = target.scrollTop > 0 ? reached + "px" : "";
  }, { capture: true, passive: true });
  window.addEventListener("popstate", letScroll);
}

function letScroll() {
  const block = document.querySelector(".stMainBlockContainer");
  if (block) block.style.minHeight = "";
}

const typing = (event) => {
  const at = event.composedPath()[0];
  return at?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(at?.tagName);
};

export default function ({ data: bytes, parentElement }) {
  const root = parentElement.querySelector("#shell"), { keys } = JSON.parse(new TextDecoder().decode(bytes));
  const close = element("button", { type: "button", textContent: "close (Esc)" });
  const sheet = element("dialog", {}, element("h3", { textContent: "Keys" }),
    element("table", {}, element("tbody", {}, ...keys.map(([key, meaning]) =>
      element("tr", {}, element("th", { textContent: key }), element("td", { textContent: meaning }))))), close);
  sheet.setAttribute("aria-label", "all keys");
  close.onclick = () => sheet.close();
  sheet.onclick = (event) => { if (event.target === sheet) sheet.close(); };
  root.replaceChildren(sheet);
  const toggle = () => (sheet.open ? sheet.close() : sheet.showModal());
  const onKey = (event) => {
    if (event.key !== "?" || typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    toggle();
  };
  window.addEventListener("keydown", onKey);
  window.addEventListener("onoff-keys", toggle);
  if (!window.onoffShell) {
    window.onoffShell = true;
    nameMenu();
    keepPlaces();
    keepHistoryShort();
    addSkipLink();
    document.addEventListener("click", jumpOnPage, true);
    holdLength();
    for (const kind of ["pointerdown", "focusin"]) document.addEventListener(kind, completeMenu, true);
    setInterval(nameMenu, 1000);  // Streamlit makes the button anew as the window's width and the page change
  }
  return () => {
    window.removeEventListener("keydown", onKey);
    window.removeEventListener("onoff-keys", toggle);
  };
}

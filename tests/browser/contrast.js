// The text in sight whose contrast with what lies behind it is too low: [{text, ratio, ink, paper, size, where}].
// Backgrounds are composited over all ancestors, through shadow roots, with their opacities. Disabled controls may be
// faint (WCAG 2.2, 1.4.3).
() => {
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  function rgba(colour) {  // of any CSS colour, 0 to 1
    if (!known.has(colour)) {
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = colour;
      pixel.fillRect(0, 0, 1, 1);
      known.set(colour, [...pixel.getImageData(0, 0, 1, 1).data].map((value) => value / 255));
    }
    return known.get(colour);
  }
  const over = (top, below, alpha) => below.map((value, i) => top[i] * alpha + value * (1 - alpha));
  const above = (element) => element.parentElement ?? element.getRootNode().host ?? null;
  const chain = (element) => { const all = []; for (let e = element; e; e = above(e)) all.unshift(e); return all; };
  function behind(element) {
    let colour = [1, 1, 1], opacity = 1;
    for (const e of chain(element)) {
      const style = getComputedStyle(e), own = rgba(style.backgroundColor);
      opacity *= Number(style.opacity);
      colour = over(own, colour, own[3] * opacity);
    }
    return { colour, opacity };
  }
  const luminance = (colour) => colour.slice(0, 3)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  function ratio(first, second) {
    const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }
  const isHidden = (element) => chain(element).some((e) => {
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    return style.overflow === "hidden" && box.width <= 1 && box.height <= 1;
  });
  const isDisabled = (element) => chain(element).some((e) => e.matches(":disabled, [aria-disabled='true']"));
  const hex = (colour) => "#" + colour.slice(0, 3).map((c) => Math.round(c * 255).toString(16).padStart(2, "0")).join("");
  const found = [];
  let looked = 0;
  function look(text, element, ink, size, weight) {
    looked += 1;
    const { colour, opacity } = behind(element), given = rgba(ink);
    const seen = over(given, colour, given[3] * opacity), reached = ratio(seen, colour);
    const isLarge = size >= 24 || (size >= 18.66 && weight >= 700);
    if (reached < (isLarge ? 3 : 4.5))
      found.push({ text: text.trim().slice(0, 40), ratio: Number(reached.toFixed(2)), ink: hex(seen), paper: hex(colour), size,
        where: chain(element).slice(-3).map((e) => e.dataset?.testid ?? `${e.localName}.${e.getAttribute("class")}`).join(" ") });
  }
  function walk(root) {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) walk(element.shadowRoot);
      const texts = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
      const field = element.matches("input:not([type=checkbox], [type=radio]), textarea");
      if (!texts.length && !field || ["STYLE", "SCRIPT", "NOSCRIPT", "TITLE"].includes(element.tagName)) continue;
      if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true })) continue;
      if (isHidden(element) || isDisabled(element)) continue;
      const style = getComputedStyle(element);
      const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
      const size = parseFloat(style.fontSize), weight = Number(style.fontWeight);
      if (texts.length) look(texts.map((node) => node.data).join(""), element, ink, size, weight);
      else if (element.value) look(element.value, element, ink, size, weight);
      else if (element.placeholder)
        look(element.placeholder, element, getComputedStyle(element, "::placeholder").color, size, weight);
    }
  }
  walk(document);
  return { found, looked };
}

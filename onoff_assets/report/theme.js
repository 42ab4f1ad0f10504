// The page's theme: the reader's own, or light or dark by the button. What is drawn follows the root's color-scheme, so that
// is always one of the two.
const THEMES = ["system", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const watchers = [];
let theme = "system";
function watchTheme(changed) { watchers.push(changed); }
function setTheme(wanted) {
  theme = wanted;
  document.documentElement.style.colorScheme = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = "theme: " + theme;
  watchers.forEach((changed) => changed());
}
document.getElementById("theme")?.addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]));
dark.addEventListener("change", () => setTheme(theme));
setTheme("system");

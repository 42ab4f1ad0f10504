// A button that lays the page's theme: the reader's own, light, dark. Each page has it.
const THEMES = ["light dark", "light", "dark"];
const watchers = [];
function watchTheme(changed) { watchers.push(changed); }
function setTheme(scheme) {
  document.documentElement.style.colorScheme = scheme;
  const button = document.getElementById("theme");
  if (button) button.textContent = "theme: " + (scheme === "light dark" ? "system" : scheme);
  watchers.forEach((changed) => changed());
}
document.getElementById("theme")?.addEventListener("click", () => {
  const now = document.documentElement.style.colorScheme || "light dark";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});

// The theme: that of the system, or what the button chose, which the browser remembers.
(function () {
  "use strict";
  const root = document.documentElement;
  const key = "atlas-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const kept = window.localStorage.getItem(key);
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;

  // The page comes later than this, and the system may change its mind.
  function tell() {
    const button = document.getElementById("theme");
    const pressed = String(isDark());
    if (button && button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  }
  new MutationObserver(tell).observe(root, { childList: true, subtree: true });
  system.addEventListener("change", tell);

  document.addEventListener("click", (event) => {
    const button = event.target.closest ? event.target.closest("#theme") : null;
    if (!button) return;
    root.dataset.theme = isDark() ? "light" : "dark";
    window.localStorage.setItem(key, root.dataset.theme);
    tell();
  });
})();

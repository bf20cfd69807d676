/* Ctrl+Enter, or Cmd+Enter, within the form of the Lab or of the console runs it. */
(function () {
  "use strict";
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
    const form = event.target.closest ? event.target.closest(".lab, .console") : null;
    const button = form ? form.querySelector("button.go") : null;
    if (!button || event.target === button) return;
    event.preventDefault();
    button.click();
  });
})();

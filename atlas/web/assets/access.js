// What Dash's own controls tell assistive technology, put right: the button of a drop-down list
// takes the focus, not the hidden field before it, and has its label's name before its value's;
// radio buttons and boxes to tick are a group with a name rather than the options of a list; and a
// slider has its label's name.
(function () {
  "use strict";
  // The label of the control that an element is in; Dash gives labels to the outermost element.
  const title = (element) => {
    for (let at = element; at && at.id !== "main"; at = at.parentElement) {
      const label = at.id && document.querySelector(`label[for="${CSS.escape(at.id)}"]`);
      if (label) return label;
    }
    return (element.closest("fieldset") || element).querySelector("legend");
  };
  let given = 0;
  const identified = (label) => (label.id = label.id || `name-${(given += 1)}`);
  const named = (element) => {
    const found = element.hasAttribute("aria-label") ? null : title(element);
    if (found) element.setAttribute("aria-labelledby", identified(found));
  };
  const mend = () => {
    for (const field of document.querySelectorAll(".dash-dropdown-focus-target[tabindex='0']")) {
      const button = field.nextElementSibling;
      field.tabIndex = -1;
      button.tabIndex = 0;
      const label = title(button);
      if (!label || button.hasAttribute("aria-label")) continue;
      button.setAttribute("aria-labelledby", `${identified(label)} ${button.id}-value`);
    }
    for (const group of document.querySelectorAll(".dash-options-list[role='listbox']")) {
      if (!group.querySelector("input") || group.closest(".dash-dropdown-content")) continue;
      group.setAttribute("role", group.querySelector("[type='radio']") ? "radiogroup" : "group");
      named(group);
    }
    const parts = ["[role='slider']", ".dash-range-slider-input"];
    for (const part of parts) {
      document.querySelectorAll(`${part}:not([aria-labelledby])`).forEach(named);
    }
    const options = "[role='radiogroup'] > [role='option'], [role='group'] > [role='option']";
    for (const option of document.querySelectorAll(options)) {
      option.removeAttribute("role");
      option.removeAttribute("aria-selected");
    }
  };
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    window.requestAnimationFrame(() => { waiting = false; mend(); });
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["role", "tabindex"] });
})();

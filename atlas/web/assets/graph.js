// The graph page: what the browser does with cytoscape without asking the server.
(function () {
  "use strict";
  const dash = (window.dash_clientside = window.dash_clientside || {});
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const core = () => {
    const box = document.getElementById("graph-cy");
    return box && box._cyreg ? box._cyreg.cy : null;
  };

  // The names in a stylesheet that stand for colours of the theme become these colours.
  function themed(value) {
    if (typeof value === "string") return value.replace(/^var\((--[a-z]+)\)$/, (_, name) => colour(name));
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, themed(one)]));
    }
    return value;
  }

  let told = 0;
  function themeChanged() {
    if (document.getElementById("graph-cy")) dash.set_props("graph-theme", { data: ++told });
  }
  new MutationObserver(themeChanged).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);

  // The list is made anew with every picture; the button that was pressed keeps the focus.
  let pressed = null;
  document.addEventListener("focusin", (event) => {
    pressed = event.target.closest("#graph-list button") ? event.target.id : null;
  });

  dash.atlas_graph = {
    focus: () => {
      const id = pressed;
      requestAnimationFrame(() => requestAnimationFrame(() => {
        const button = id && document.getElementById(id);
        const lost = !document.activeElement || document.activeElement === document.body;
        if (button && lost) button.focus({ preventScroll: true });
      }));
      return dash.no_update;
    },

    styles: (styles) => themed(styles || []),

    tip: (node, edge) => ((node && node.tip) || (edge && edge.tip) || ""),

    tapped: (node, edge, clicks) => {
      const by = dash.callback_context.triggered.map((one) => one.prop_id);
      if (by.includes("graph-cy.tapEdge") && edge) {
        return { source: edge.sourceData.key, target: edge.targetData.key, kind: edge.data.kind, at: edge.timeStamp };
      }
      if (!node) return dash.no_update;
      return { key: node.data.key, expand: (clicks || []).length > 0, at: node.timeStamp };
    },

    // Shows in the picture what was chosen in the list.
    mark: (chosen) => {
      const cy = core();
      if (cy && chosen && chosen.key) {
        cy.elements(":selected").unselect();
        cy.nodes().filter((node) => node.data("key") === chosen.key).select();
      }
      return dash.no_update;
    },

    image: () => {
      const by = dash.callback_context.triggered.map((one) => one.prop_id);
      const type = by.includes("graph-svg.n_clicks") ? "svg" : "png";
      if (!dash.callback_context.triggered.some((one) => one.value)) return dash.no_update;
      return { type, action: "download", filename: "graph", options: { full: true, scale: 2, bg: colour("--card") } };
    },

    zoom: () => {
      const cy = core();
      const by = (dash.callback_context.triggered[0] || {}).prop_id || "";
      if (!cy || !dash.callback_context.triggered.some((one) => one.value)) return dash.no_update;
      const middle = { x: cy.width() / 2, y: cy.height() / 2 };
      if (by.startsWith("graph-fit")) cy.fit(undefined, 24);
      else cy.zoom({ level: cy.zoom() * (by.startsWith("graph-in") ? 1.3 : 1 / 1.3), renderedPosition: middle });
      return dash.no_update;
    },
  };
})();

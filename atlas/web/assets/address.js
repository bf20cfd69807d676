/* Keeps the address of what is shown, without asking for the page again.

Dash does not see that the address was replaced: a link back to the one that it knows would do
nothing, so it is told to show that again. */
(function () {
  "use strict";
  const here = () => window.location.pathname + window.location.search;
  let known = null; // the address that Dash knows, where that is another than the browser's
  window.addEventListener("_dashprivate_pushstate", () => {
    const again = known !== null && here() === known;
    known = null;
    if (again) window.dash_clientside.set_props("again", { data: Date.now() });
  });
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.atlas_address = {
    remember: function (address) {
      if (address) {
        if (known === null) known = here();
        window.history.replaceState(window.history.state, "", address);
      }
      return window.dash_clientside.no_update;
    },
  };
})();

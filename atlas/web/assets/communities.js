// Cells of tables that lead to a page.
(function () {
  "use strict";
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.AtlasLink = (props) =>
    window.React.createElement("a", { href: (props.data || {}).href }, props.value);
})();

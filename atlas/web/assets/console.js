/* Cells of the console's table: a key is a link to what it is of. */
(function () {
  "use strict";
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.AtlasKey = (props) => {
    const href = (props.data || {})[props.colDef.field + " href"];
    return href ? window.React.createElement("a", { href: href }, props.value) : props.value;
  };
})();

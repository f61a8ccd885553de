// Tables: a button in each header sorts by its column. Numbers are compared as numbers; a dash sorts last.
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}

{
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim();
    return text === "-" ? null : text !== "" && isFinite(text) ? Number(text) : text.toLowerCase();
  };

  const sortBy = (table, header) => {
    const body = table.tBodies[0];
    const sign = header.ariaSort === "ascending" ? -1 : 1;
    for (const other of header.parentElement.cells) other.ariaSort = "none";
    header.ariaSort = sign > 0 ? "ascending" : "descending";
    const rows = [...body.rows].map((row) => [key(row, header.cellIndex), row]);
    rows.sort((a, b) => compare(a[0], b[0], sign));
    body.append(...rows.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      if (header.classList.contains("wide-column")) continue; // a drawing
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header));
      header.append(button);
      header.ariaSort = "none";
    }
  }
}

// The marker table: searched, sorted, shown in parts, saved as CSV.
(function () {
  if (!DATA.markers) return;
  const { columns, rows } = DATA.markers, page = 60;
  const heads = { cell_type: "type", peak: "peak", gene: "nearest gene", distance: "distance (bp)", log2_fold_change: "log2 fold change", fdr: "FDR", share_in: "open in", share_out: "open out" };
  const isText = (name) => name === "cell_type" || name === "peak" || name === "gene";
  const texts = rows.map((row) => columns.map((name, i) => (isText(name) && row[i] !== null ? String(row[i]) : "")).join("\n").toLowerCase());
  const body = $("marker-table").tBodies[0], head = $("marker-table").tHead.insertRow();
  let order = rows.map((_, i) => i), sorted = -1, down = false, n = page;

  function words(name, value) {
    if (value === null || value === undefined) return "–";
    if (name === "cell_type") return DATA.types[DATA.novel] === "novel" && value === "Novel_cell_type" ? "novel" : value;
    if (isText(name)) return value;
    if (typeof value !== "number") return String(value);
    if (name === "fdr") return value >= 0.001 ? value.toFixed(3) : value === 0 ? "<1e-300" : value.toExponential(0);
    if (name === "distance") return value.toLocaleString("en");
    return name.startsWith("share") ? (100 * value).toFixed(1) + "%" : value.toFixed(2);
  }

  function show() {
    const type = $("marker-type").value, wanted = $("marker-search").value.trim().toLowerCase().split(/\s+/);
    const place = columns.indexOf("cell_type");
    const found = order.filter((i) => (!type || rows[i][place] === type) && wanted.every((word) => texts[i].includes(word)));
    body.replaceChildren(...found.slice(0, n).map((i) => {
      const line = element("tr");
      line.append(...columns.map((name, c) => element("td", words(name, rows[i][c]), isText(name) ? "" : "n")));
      return line;
    }));
    $("marker-count").textContent = found.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " shown here" + (found.length > n ? ", the first " + n : "");
    $("marker-more").hidden = found.length <= n;
    return found;
  }

  columns.forEach((name, c) => {
    const cell = element("th", undefined, isText(name) ? "" : "n"), button = element("button", heads[name] || name);
    cell.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => {
      down = sorted === c ? !down : !isText(name) && name !== "fdr" && name !== "distance";
      sorted = c;
      const size = (value) => (name === "distance" && value !== null ? Math.abs(value) : value);
      order.sort((a, b) => {
        const x = size(rows[a][c]), y = size(rows[b][c]);
        if (x === y) return a - b;
        if (x === null || y === null) return x === null ? 1 : -1;
        const sign = isText(name) ? String(x).localeCompare(String(y), "en", { numeric: true }) : x - y;
        return down ? -sign : sign;
      });
      [...head.cells].forEach((one, k) => {
        one.removeAttribute("aria-sort");
        one.firstChild.textContent = (heads[columns[k]] || columns[k]) + (k === c ? (down ? " ▼" : " ▲") : "");
      });
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      show();
    });
    cell.append(button);
    head.append(cell);
  });
  for (const id of ["marker-type", "marker-search"]) $(id).addEventListener("input", () => { n = page; show(); });
  $("marker-more").addEventListener("click", () => { n += 4 * page; show(); });
  $("marker-csv").addEventListener("click", () => {
    // a value that a spreadsheet would run as a formula is made a text
    const quoted = (value) => {
      let text = value === null ? "" : String(value);
      if (typeof value === "string" && /^[=+\-@\t]/.test(text)) text = "'" + text;
      return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
    };
    const lines = [columns, ...show().map((i) => rows[i])].map((row) => row.map(quoted).join(","));
    download(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }), "markers.csv");
  });
  show();
})();
